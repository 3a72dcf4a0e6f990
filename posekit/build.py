"""Configuration and weights -> network, in eval mode, on a device."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from posekit.backends.files import GraphFile
from posekit.config import locate, read_config
from posekit.errors import InputError, WeightsError, first_line
from posekit.provenance import loosely, stored_meta, warn_of_other_names

__all__ = [
    "build_network",
    "create_model",
    "load_initial_weights",
    "load_network",
    "load_weights",
    "select_device",
]

log = logging.getLogger(__name__)


def create_model(
    name: str, *, weights: str | Path | None = None, num_keypoints: int | None = None
) -> nn.Module:
    """The bare network of a model, in eval mode on the CPU.

    Args:
        name: any name of a model, see `posekit.list_models`, or a trained model's folder.
        weights: a file or URL that `posekit.load` takes, or "published" for those of the table;
            None leaves the network as it was initialised, at random, but takes a trained model's
            own.
        num_keypoints: another number of keypoints than the configuration's. In the layers whose
            shape depends on it each starts as the mean of those that the weights know.

    Raises:
        UnknownModelError: no such model.
        WeightsError: the weights do not fit.
    """
    from posekit.hub import resolve_weights

    found = locate(name)
    name, weights = found.name, weights or found.weights
    model = read_config(name, found.search)
    config = model["net"]
    if weights is None:
        return build_network(config, num_keypoints=num_keypoints, device="cpu").eval()
    path = resolve_weights(name, weights, search=found.search)
    if num_keypoints is None or num_keypoints == config.get("num_keypoints"):
        warn_of_other_names(name, model, path, search=found.search)
        return load_weights(build_network(config), path, dtype=torch.float32)
    net = build_network(config, num_keypoints=num_keypoints, device="cpu").eval()
    fresh, _ = load_initial_weights(net, {**config, "num_keypoints": num_keypoints}, path)
    log.warning(
        "%s for %d keypoints: each starts as the mean of those it knows: %s",
        *(name, num_keypoints, ", ".join(fresh)),
    )
    return net


def load_network(
    name: str,
    config: Mapping[str, Any],
    weights: str | Path | None = None,
    *,
    search: Sequence[Path] = (),
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> nn.Module:
    """A model's network with its weights, in eval mode; a `GraphFile` where these are a graph.

    Args:
        name: its public name.
        config: its YAML.
        weights, search: as `posekit.hub.resolve_weights`.
        device, dtype: as `load_weights`.

    Raises:
        WeightsError, DownloadError, InputError: as these two.
    """
    from posekit.hub import resolve_weights

    path = resolve_weights(name, weights, search=search)
    net = load_weights(build_network(config["net"]), path, device=device, dtype=dtype)
    warn_of_other_names(name, config, path, search=search)
    return net


def load_initial_weights(
    net: nn.Module,
    config: Mapping[str, Any],
    path: Path,
    *,
    names: Sequence[str] = (),
    names_in_file: Sequence[str] = (),
) -> tuple[list[str], list[str]]:
    """Fills a network to train from a file that may be for other keypoints or classes.

    A keypoint that the file knows by name keeps what it has learnt. All else whose shape depends on
    the number of keypoints or classes starts as the mean of what the file knows, from which
    training gets to a good place much sooner than from random numbers.

    Args:
        net: the network; it is changed.
        config: what it was built from.
        path: posekit weights.
        names: of the network's keypoints; without them, those of a file are the same unless their
            number differs.
        names_in_file: of the keypoints that the file is thought to be for; what it says itself
            comes first.

    Returns:
        The entries that are not the file's, and the keypoints whose part in them is.

    Raises:
        WeightsError: damaged file, missing or unknown entries, other shapes that differ.
    """
    from posekit.hub import is_graph

    if is_graph(path):
        raise WeightsError(f"{path} is a graph that engines run; expected weights to train")
    meta = stored_meta(path)
    if names and meta is not None and meta.keypoints:
        spelled = {loosely(name): name for name in names}
        names_in_file = [spelled.get(loosely(name), name) for name in meta.keypoints]
    state = net.state_dict()
    free = _output_entries(config)
    count = config.get("num_keypoints", config.get("num_classes", 0))
    kept: list[str] = []
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            renamed = bool(names_in_file) and list(names) != list(names_in_file)
            fresh = [
                key
                for key in free
                if key in shapes and (renamed or shapes[key] != tuple(state[key].shape))
            ]
            _check_entries(
                path, state, {**shapes, **{key: tuple(state[key].shape) for key in fresh}}
            )
            for key, value in state.items():
                if key not in fresh:
                    value.copy_(file.get_tensor(key))
                elif shapes[key][1:] == value.shape[1:]:
                    # Some have several maps for each keypoint, one after the other.
                    rows = file.get_tensor(key).unflatten(0, (-1, len(value) // count))
                    fits = len(rows) == len(names_in_file)
                    numbers = {n: i for i, n in enumerate(names_in_file)} if fits else {}
                    kept = [name for name in names if name in numbers]
                    rows = torch.cat([rows, rows.mean(dim=0, keepdim=True)])
                    picked = [numbers.get(name, -1) for name in names or [""] * count]
                    value.copy_(rows[picked].flatten(0, 1))
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from None
    return sorted(fresh), kept


def _output_entries(config: Mapping[str, Any]) -> list[str]:
    """Names of the parameters whose shape depends on the number of keypoints or classes."""
    entries: dict[str, None] = {}
    for argument in ("num_keypoints", "num_classes"):
        if argument in config:
            one, other = (
                build_network({**config, argument: config[argument] + more}).state_dict()
                for more in (0, 1)
            )
            entries |= dict.fromkeys(key for key in one if one[key].shape != other[key].shape)
    return list(entries)


def build_network(
    config: Mapping[str, Any],
    *,
    num_keypoints: int | None = None,
    device: str | torch.device = "meta",
) -> nn.Module:
    """The network that a configuration's `net` describes.

    Args:
        config: `_target_` and its arguments.
        num_keypoints: replaces the configuration's.
        device: where parameters are made; on `meta` they take no memory until weights come. A
            network that needs numbers of its own, which no weights hold, is made on the CPU then.
    """
    arguments = dict(config)
    if num_keypoints is not None:
        if "num_keypoints" not in arguments:
            raise InputError(f"num_keypoints does not apply to {arguments['_target_']}")
        if num_keypoints < 1:
            raise InputError(f"num_keypoints must be at least 1, found {num_keypoints}")
        arguments["num_keypoints"] = num_keypoints
    if str(device) == "meta":
        try:
            net = _instantiate(arguments, device)
        except Exception:  # such as of a constructor that looks at numbers
            return _instantiate(arguments, "cpu")
        return _instantiate(arguments, "cpu") if _keeps_numbers(net) else net
    return _instantiate(arguments, device)


def _instantiate(arguments: Mapping[str, Any], device: str | torch.device) -> nn.Module:
    with torch.device(device), _Unfilled() if str(device) == "meta" else nullcontext():
        net = instantiate(arguments, _convert_="all")
    if not isinstance(net, nn.Module):
        raise InputError(f"{arguments['_target_']} makes no network, found {type(net).__name__}")
    return net


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
        WeightsError: damaged file, missing or unknown entries, shapes or types that differ.
    """
    from posekit.hub import is_graph

    if is_graph(path):
        if dtype not in (None, torch.float32):
            raise InputError(f"{path} is a graph, computed as it was exported: leave out dtype")
        return GraphFile(path, net.eval()).to(device).eval()
    expected = net.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            found = set(file.keys())
            _check_entries(
                path, expected, {key: tuple(file.get_slice(key).get_shape()) for key in found}
            )
            state = {key: _placed(file.get_tensor(key), device, dtype) for key in expected}
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from None
    for key, value in state.items():
        kinds = [(t.is_floating_point(), t.is_complex()) for t in (value, expected[key])]
        if kinds[0] != kinds[1]:
            raise WeightsError(
                f"{path} is damaged or of another model: {key} is {value.dtype}, expected "
                f"{expected[key].dtype}"
            )
    net.load_state_dict(state, assign=True)
    for part in net.modules():
        for name in part._non_persistent_buffers_set:
            if (buffer := part._buffers[name]) is not None:
                part._buffers[name] = _placed(buffer, device, dtype)
    return net.eval().requires_grad_(False)


def _placed(tensor: Tensor, device: str | torch.device, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def _check_entries(
    path: Path, expected: Mapping[str, Tensor], found: Mapping[str, tuple[int, ...]]
) -> None:
    problems = []
    if missing := [key for key in expected if key not in found]:
        problems.append(f"{len(missing)} entries missing, such as {missing[0]}")
    if unknown := sorted(set(found) - set(expected)):
        shown = ascii(unknown[0][:200])[1:-1]
        problems.append(f"{len(unknown)} entries that the model has not, such as {shown}")
    differing = [
        f"{key} is {found[key]}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key] != tuple(value.shape)
    ]
    if differing:
        problems.append(f"{len(differing)} shapes differ: {', '.join(differing[:3])}")
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
