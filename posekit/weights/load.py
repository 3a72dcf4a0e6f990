"""A model's name and weights -> its network, in eval mode."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from posekit.backends.files import is_graph
from posekit.backends.machine import computes_in
from posekit.build import build_network
from posekit.component import Component
from posekit.errors import InputError, WeightsError
from posekit.finite import check_finite_weights
from posekit.locate import locate
from posekit.names import match_names
from posekit.spec import Spec, load_spec
from posekit.weights.hub import resolve_weights
from posekit.weights.own_files import model_in_file
from posekit.weights.provenance import stored_meta, warn_of_other_names
from posekit.weights.tensors import check_entries, load_weights, stored_tensors

__all__ = ["create_model", "load_initial_weights", "load_network"]

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
        weights: a file or URL that `posekit.load` takes, or "published" for the published
            weights; None for random initialisation, but a trained model's folder loads its own.
        num_keypoints: a number of keypoints other than the configuration's. In layers whose shape
            depends on it, each new keypoint starts as the mean of those in the weights.
        trust: allow a model's folder to name classes from outside posekit, which run code.

    Raises:
        UnknownModelError: no such model.
        InputError: a configuration that does not describe a model.
        WeightsError: the weights do not fit.
    """
    found = locate(name)
    name, weights = found.name, weights or found.weights
    spec = load_spec(name, found.search, trust=found.trusted(trust))
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
        "%s for %d keypoints: each starts as the mean of the known ones: %s",
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
    opened: Callable[[Path], None] | None = None,
) -> nn.Module:
    """A model's network with its weights, in eval mode; a `GraphFile` where these are a graph.

    Args:
        spec: its description.
        weights, key: as `posekit.weights.hub.resolve_weights`.
        search: folders of skeletons that come before the packaged ones.
        device, dtype: as `load_weights`.
        opened: called with the path of the weights' file.

    Raises:
        WeightsError, DownloadError, InputError: as these two.
    """
    path = resolve_weights(spec.name, weights, net=spec.net, key=key)
    net = load_weights(build_network(spec.net), path, device=device, dtype=dtype)
    if opened is not None:
        opened(path)
    if dtype is not None and torch.device(device).type == "cpu" and not is_graph(path):
        _warn_of_slow_type(str(dtype).removeprefix("torch."))
    if weights is not None and (named := model_in_file(path)) not in (None, spec.name):
        log.warning(
            "%s are weights of %s; they fit %s and are used for it", weights, named, spec.name
        )
    warn_of_other_names(spec, path, search=search)
    return net


@functools.cache  # once, not for each network
def _warn_of_slow_type(dtype: str) -> None:
    if computes_in(dtype) is False:
        log.warning(
            "dtype=%s: this processor does not support it; it is slower here than "
            "dtype=float32, and less exact",
            dtype,
        )


def load_initial_weights(
    net: nn.Module,
    described: Component,
    path: Path,
    *,
    names: Sequence[str] = (),
    names_in_file: Sequence[str] = (),
) -> tuple[list[str], list[str]]:
    """Fills a network to train from a file that may be for other keypoints or classes.

    A keypoint that the file knows by name, in any spelling, keeps its weights. All else whose shape
    depends on the number of keypoints or classes starts as the mean of the file's, from which
    training converges much sooner than from random numbers.

    Args:
        net: the network; it is changed.
        described: the description that it was built from.
        path: posekit weights.
        names: names of the network's keypoints; without them, the file's keypoints are taken to be
            the same unless their number differs.
        names_in_file: names of the keypoints that the file is assumed to be for; names in the file
            itself take precedence.

    Returns:
        The entries that do not come from the file, and the keypoints whose part of them does.

    Raises:
        WeightsError: damaged file, missing or unknown entries, other shapes or types that differ,
            numbers that are not finite.
    """
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
    with stored_tensors(path) as found:
        renamed = bool(names_in_file) and numbers != list(range(len(names_in_file)))
        fresh = [
            key
            for key in free
            if key in found and (renamed or found[key].shape != state[key].shape)
        ]
        check_entries(path, state, found, resized=fresh)
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
