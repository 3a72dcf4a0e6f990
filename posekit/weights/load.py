"""Configuration and weights -> network, in eval mode, on a device."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from posekit.backends.files import GraphFile
from posekit.config import locate
from posekit.errors import InputError, WeightsError, first_line
from posekit.names import match_names
from posekit.spec import Component, Spec, load_spec
from posekit.stages.finite import check_finite_weights
from posekit.weights.provenance import stored_meta, warn_of_other_names
from weights_convert.errors import safetensors_fault

__all__ = [
    "build_network",
    "check_fit",
    "create_model",
    "load_initial_weights",
    "load_network",
    "load_weights",
    "select_device",
]

log = logging.getLogger(__name__)


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    num_keypoints: int | None = None,
    trust: bool = False,
) -> nn.Module:
    """The bare network of a model, in eval mode on the CPU.

    Args:
        name: any name of a model, see `posekit.list_models`, or a trained model's folder.
        weights: a file or URL that `posekit.load` takes, or "published" for those of the table;
            None leaves the network as it was initialised, at random, but takes a trained model's
            own.
        num_keypoints: another number of keypoints than the configuration's. In the layers whose
            shape depends on it each starts as the mean of those that the weights know.
        trust: build classes that are not posekit's of a model's folder, which run code.

    Raises:
        UnknownModelError: no such model.
        InputError: a configuration that does not describe a model.
        WeightsError: the weights do not fit.
    """
    from posekit.weights.hub import resolve_weights

    found = locate(name)
    name, weights = found.name, weights or found.weights
    spec = load_spec(name, found.search, trust=trust or not found.is_foreign)
    wanted = spec.net if num_keypoints is None else _for_keypoints(spec.net, num_keypoints)
    if weights is None:
        return build_network(wanted, device="cpu").eval()
    path = resolve_weights(name, weights, net=spec.net)
    if wanted == spec.net:
        warn_of_other_names(spec, path, search=found.search)
        return load_weights(build_network(wanted), path, dtype=torch.float32)
    net = build_network(wanted, device="cpu").eval()
    fresh, _ = load_initial_weights(net, wanted, path)
    log.warning(
        "%s for %d keypoints: each starts as the mean of those it knows: %s",
        *(name, num_keypoints, ", ".join(fresh)),
    )
    return net


def _for_keypoints(net: Component, num_keypoints: int) -> Component:
    if "num_keypoints" not in net.arguments:
        raise InputError(f"num_keypoints does not apply to {net.name}")
    if num_keypoints < 1:
        raise InputError(f"num_keypoints must be at least 1, found {num_keypoints}")
    return net.having(num_keypoints=num_keypoints)


def load_network(
    spec: Spec,
    weights: str | Path | None = None,
    *,
    search: Sequence[Path] = (),
    key: str = "weights=",
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> nn.Module:
    """A model's network with its weights, in eval mode; a `GraphFile` where these are a graph.

    Args:
        spec: its description.
        weights, key: as `posekit.weights.hub.resolve_weights`.
        search: folders of skeletons that come before the packaged ones.
        device, dtype: as `load_weights`.

    Raises:
        WeightsError, DownloadError, InputError: as these two.
    """
    from posekit.weights.hub import model_in_file, resolve_weights

    path = resolve_weights(spec.name, weights, net=spec.net, key=key)
    net = load_weights(build_network(spec.net), path, device=device, dtype=dtype)
    if weights is not None and (named := model_in_file(path)) not in (None, spec.name):
        log.warning("%s are weights of %s; they fit and are used for %s", weights, named, spec.name)
    warn_of_other_names(spec, path, search=search)
    return net


def load_initial_weights(
    net: nn.Module,
    described: Component,
    path: Path,
    *,
    names: Sequence[str] = (),
    names_in_file: Sequence[str] = (),
) -> tuple[list[str], list[str]]:
    """Fills a network to train from a file that may be for other keypoints or classes.

    A keypoint that the file knows by name, in any spelling, keeps what it has learnt. All else
    whose shape depends on the number of keypoints or classes starts as the mean of what the file
    knows, from which training gets to a good place much sooner than from random numbers.

    Args:
        net: the network; it is changed.
        described: what it was built from.
        path: posekit weights.
        names: of the network's keypoints; without them, those of a file are the same unless their
            number differs.
        names_in_file: of the keypoints that the file is thought to be for; what it says itself
            comes first.

    Returns:
        The entries that are not the file's, and the keypoints whose part in them is.

    Raises:
        WeightsError: damaged file, missing or unknown entries, other shapes or types that differ,
            numbers that are not finite.
    """
    from posekit.weights.hub import is_graph

    if is_graph(path):
        raise WeightsError(f"{path} is a graph that engines run; expected weights to train")
    meta = stored_meta(path)
    if names and meta is not None and meta.keypoints:
        names_in_file = meta.keypoints
    state = net.state_dict()
    free = _output_entries(described)
    arguments = described.arguments
    count = arguments.get("num_keypoints", arguments.get("num_classes", 0))
    numbers = match_names(names, names_in_file).indices
    fits = False
    with _entries(path) as found:
        renamed = bool(names_in_file) and numbers != list(range(len(names_in_file)))
        fresh = [
            key
            for key in free
            if key in found and (renamed or found[key].shape != state[key].shape)
        ]
        _check_entries(path, state, found, resized=fresh)
        for key, value in state.items():
            if key not in fresh:
                value.copy_(found[key])
            elif found[key].shape[1:] == value.shape[1:]:
                # Some have several maps for each keypoint, one after the other.
                rows = found[key].unflatten(0, (-1, len(value) // count))
                fits = len(rows) == len(names_in_file)
                rows = torch.cat([rows, rows.mean(dim=0, keepdim=True)])
                picked = numbers if names and fits else [-1] * count
                value.copy_(rows[picked].flatten(0, 1))
    check_finite_weights(str(path), state)
    kept = [name for name, number in zip(names, numbers, strict=True) if fits and number >= 0]
    return sorted(fresh), kept


def _output_entries(described: Component) -> list[str]:
    """Names of the parameters whose shape depends on the number of keypoints or classes."""
    entries: dict[str, None] = {}
    for argument in ("num_keypoints", "num_classes"):
        if (count := described.arguments.get(argument)) is not None:
            one, other = (
                build_network(described.having(**{argument: count + more})).state_dict()
                for more in (0, 1)
            )
            entries |= dict.fromkeys(key for key in one if one[key].shape != other[key].shape)
    return list(entries)


def build_network(net: Component, *, device: str | torch.device = "meta") -> nn.Module:
    """The network of a description, with random weights.

    Args:
        net: `Spec.net`.
        device: where parameters are made; on `meta` they take no memory until weights come. A
            network that needs numbers of its own, which no weights hold, is made on the CPU then.

    Raises:
        InputError: the network does not take the arguments, or is none.
    """
    if str(device) == "meta":
        try:
            made = _make(net, device)
        except Exception:  # such as of a constructor that looks at numbers
            return _make(net, "cpu")
        return _make(net, "cpu") if _keeps_numbers(made) else made
    return _make(net, device)


def _make(net: Component, device: str | torch.device) -> nn.Module:
    with torch.device(device), _Unfilled() if str(device) == "meta" else nullcontext():
        made = net.make()
    if not isinstance(made, nn.Module):
        raise InputError(f"{net.target} is no network: expected a torch.nn.Module")
    return made


def _keeps_numbers(net: nn.Module) -> bool:
    """Whether a network has tensors that are in no state dict."""
    return any(
        part._non_persistent_buffers_set
        or any(isinstance(value, Tensor) for value in vars(part).values())
        for part in net.modules()
    )


class _Unfilled(TorchFunctionMode):
    """Leaves out random numbers: for tensors on `meta`, drawing them imports half of PyTorch."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "kaiming_uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def load_weights(
    net: nn.Module,
    path: Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """Fills a network that lies on `meta` from a posekit safetensors file.

    The file is mapped, not read into a buffer, so that the peak stays near the file's size. For a
    graph that engines run, what is returned is a `GraphFile` in the network's place.

    Args:
        net: the network; it is changed and returned, in eval mode.
        path: the weights.
        device: where they go.
        dtype: of floating-point entries; None keeps the file's.

    Raises:
        WeightsError: damaged file, missing or unknown entries, shapes or types that differ, numbers
            that are not finite, as read or in the type asked for.
    """
    from posekit.weights.hub import is_graph

    if is_graph(path):
        if dtype not in (None, torch.float32):
            raise InputError(f"{path} is a graph, computed as it was exported: leave out dtype")
        return GraphFile(path, net.eval()).to(device).eval()
    expected = net.state_dict()
    with _entries(path) as found:
        _check_entries(path, expected, found)
        state = {key: _placed(found[key], device, dtype) for key in expected}
    check_finite_weights(str(path), state)
    counts = [key for key in state if _is_count(key)]
    state |= {key: state[key].to(expected[key].dtype) for key in counts}
    net.load_state_dict(state, assign=True)
    for part in net.modules():
        for name in part._non_persistent_buffers_set:
            if (buffer := part._buffers[name]) is not None:
                part._buffers[name] = _placed(buffer, device, dtype)
    return net.eval().requires_grad_(False)


def check_fit(net: nn.Module, path: Path) -> None:
    """Refuses a posekit safetensors file that `load_weights` would refuse for a network.

    Raises:
        WeightsError: damaged file, missing or unknown entries, shapes or types that differ.
    """
    with _entries(path) as found:
        _check_entries(path, net.state_dict(), found)


@contextmanager
def _entries(path: Path) -> Iterator[dict[str, Tensor]]:
    """The tensors of a safetensors file, mapped: what is not looked at is not read."""
    try:
        with safe_open(path, framework="pt") as file:
            yield {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path}: {safetensors_fault(error)}") from None


def _placed(tensor: Tensor, device: str | torch.device, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def _is_count(key: str) -> bool:
    """Whether an entry is a batch norm's counter, which halving all of a file makes a float."""
    return key.endswith("num_batches_tracked")


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    """What another type of number must not change."""
    return tensor.is_floating_point(), tensor.is_complex()


def _check_entries(
    path: Path,
    expected: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    *,
    resized: Collection[str] = (),
) -> None:
    """Refuses entries that are not those of a network, but for the shapes of the resized ones."""
    problems = []
    if missing := [key for key in expected if key not in found]:
        problems.append(f"{len(missing)} entries missing, such as {missing[0]}")
    if unknown := sorted(set(found) - set(expected)):
        shown = ascii(unknown[0][:200])[1:-1]
        problems.append(f"{len(unknown)} entries that the model has not, such as {shown}")
    pairs = [(key, found[key], value) for key, value in expected.items() if key in found]
    shapes = [
        f"{key} is {tuple(value.shape)}, expected {tuple(wanted.shape)}"
        for key, value, wanted in pairs
        if value.shape != wanted.shape and key not in resized
    ]
    if shapes:
        problems.append(f"{len(shapes)} shapes differ: {', '.join(shapes[:3])}")
    types = [
        f"{key} is {value.dtype}, expected {wanted.dtype}"
        for key, value, wanted in pairs
        if _kind(value) != _kind(wanted) and not _is_count(key)
    ]
    if types:
        problems.append(f"{len(types)} types differ: {', '.join(types[:3])}")
    if problems:
        raise WeightsError(
            f"{path} does not fit the model: {'; '.join(problems)}. "
            "Are they the weights of another model or number of keypoints?"
        )


def select_device(device: str | int | torch.device | None = None) -> torch.device:
    """The device asked for, or the best there is: CUDA, then Apple's MPS, then the CPU.

    Args:
        device: such as "cuda:1", in any case; a number alone, "1" or 1, is that of a CUDA GPU.

    Raises:
        InputError: no such device on this machine.
    """
    if device is None:
        if torch.cuda.is_available():
            try:
                return _tried(torch.device("cuda"))
            except (RuntimeError, AssertionError) as error:  # a full one, or too old for this torch
                log.warning("the GPU cannot be used: %s", first_line(error))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    text = str(device).lower()
    try:
        return _tried(torch.device(f"cuda:{text}" if text.isdecimal() else text))
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise InputError(
            f"device '{device}' cannot be used here: {reason}; leave it out to take the best one"
        ) from None


def _tried(device: torch.device) -> torch.device:
    """The device, after it has computed something."""
    torch.zeros(1, device=device).add_(1)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return device
