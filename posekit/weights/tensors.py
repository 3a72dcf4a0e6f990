"""posekit's own weights files, and whether they fit a network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from posekit.backends.files import GraphFile, is_graph
from posekit.errors import InputError, WeightsError
from posekit.finite import check_finite_weights
from weights_convert.errors import safetensors_fault

__all__ = ["check_entries", "check_fit", "load_weights", "stored_tensors"]


def load_weights(
    net: nn.Module,
    path: Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """Fills a network that lies on `meta` from a posekit safetensors file.

    The file is mapped, not read into a buffer, so the peak of memory stays near the file's size.
    For a graph, which engines run, a `GraphFile` is returned in the network's place.

    Args:
        net: the network; it is changed and returned, in eval mode.
        path: the weights.
        device: where they are put.
        dtype: type of floating-point entries; None keeps the file's.

    Raises:
        WeightsError: damaged file, missing or unknown entries, shapes or types that differ, numbers
            that are not finite, as read or in the type asked for.
    """
    if is_graph(path):
        if dtype not in (None, torch.float32):
            raise InputError(f"{path} is a graph, computed as it was exported: leave out dtype")
        return GraphFile(path, net.eval()).to(device).eval()
    expected = net.state_dict()
    with stored_tensors(path) as found:
        check_entries(path, expected, found)
        state = {key: _to_device(found[key], device, dtype) for key in expected}
    check_finite_weights(str(path), state)
    counts = [key for key in state if _is_count(key)]
    state |= {key: state[key].to(expected[key].dtype) for key in counts}
    net.load_state_dict(state, assign=True)
    for part in net.modules():
        for name in part._non_persistent_buffers_set:
            if (buffer := part._buffers[name]) is not None:
                part._buffers[name] = _to_device(buffer, device, dtype)
    return net.eval().requires_grad_(False)


def check_fit(net: nn.Module, path: Path) -> None:
    """Refuses a posekit safetensors file that `load_weights` would refuse for a network.

    Raises:
        WeightsError: damaged file, missing or unknown entries, shapes or types that differ.
    """
    with stored_tensors(path) as found:
        check_entries(path, net.state_dict(), found)


@contextmanager
def stored_tensors(path: Path) -> Iterator[dict[str, Tensor]]:
    """The tensors of a safetensors file, mapped: what is not looked at is not read."""
    try:
        with safe_open(path, framework="pt") as file:
            yield {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path}: {safetensors_fault(error)}") from None


def _to_device(tensor: Tensor, device: str | torch.device, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def _is_count(key: str) -> bool:
    """Whether an entry is a batch norm's counter, which halving all of a file makes a float."""
    return key.endswith("num_batches_tracked")


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    """What a change of the number type must keep."""
    return tensor.is_floating_point(), tensor.is_complex()


def check_entries(
    path: Path,
    expected: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    *,
    resized: Collection[str] = (),
) -> None:
    """Refuses entries that are not those of a network, except for the shapes of `resized`."""
    problems = []
    if missing := [key for key in expected if key not in found]:
        problems.append(f"{len(missing)} entries missing, such as {missing[0]}")
    if unknown := sorted(set(found) - set(expected)):
        shown = ascii(unknown[0][:200])[1:-1]
        problems.append(f"{len(unknown)} entries that the model does not have, such as {shown}")
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
            "Is it for another model, or for another number of keypoints?"
        )
