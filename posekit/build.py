"""Description -> network with random weights; the device that it goes to."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from posekit.component import Component
from posekit.errors import InputError, first_line

__all__ = ["build_network", "floating_type", "select_device"]

log = logging.getLogger(__name__)

# Of PyTorch's functions while a network is made; the largest here, an HRNet, makes 6,442.
MOST_CALLS = 20_000


def build_network(net: Component, *, device: str | torch.device = "meta") -> nn.Module:
    """The network of a description, with random weights.

    Args:
        net: `Spec.net`.
        device: where parameters are made; on `meta` they take no memory until weights are loaded. A
            network with constants that no weights hold is then made on the CPU.

    Raises:
        InputError: the class does not take the arguments, or is not a network.
    """
    if str(device) == "meta":
        try:
            made = _make(net, device)
        except _TooLargeError:
            raise InputError(
                f"{net.name} cannot be made: its arguments ask for more layers than any network has"
            ) from None
        except Exception:  # such as of a constructor that looks at numbers
            return _make(net, "cpu")
        return _make(net, "cpu") if _keeps_numbers(made) else made
    return _make(net, device)


def _make(net: Component, device: str | torch.device) -> nn.Module:
    with torch.device(device), _Unfilled() if str(device) == "meta" else nullcontext():
        made = net.make()
    if not isinstance(made, nn.Module):
        raise InputError(f"{net.target} is not a network: expected a torch.nn.Module")
    return made


def _keeps_numbers(net: nn.Module) -> bool:
    """Whether a network has tensors that are in no state dict."""
    return any(
        part._non_persistent_buffers_set
        or any(isinstance(value, Tensor) for value in vars(part).values())
        for part in net.modules()
    )


class _TooLargeError(BaseException):
    """No `Exception`, of which a network's own mistakes are."""


class _Unfilled(TorchFunctionMode):
    """Leaves out random numbers: for tensors on `meta`, drawing them imports half of PyTorch.

    A description with a million layers, which would never be made, ends at `MOST_CALLS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise _TooLargeError
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "kaiming_uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def select_device(device: str | int | torch.device | None = None) -> torch.device:
    """The device asked for, or the best there is: CUDA, then Apple's MPS, then the CPU.

    Args:
        device: such as "cuda:1", in upper or lower case; a number alone, "1" or 1, is a CUDA GPU.

    Raises:
        InputError: no such device on this machine.
    """
    if device is None:
        if torch.cuda.is_available():
            try:
                return _check_device(torch.device("cuda"))
            except (RuntimeError, AssertionError) as error:  # a full one, or too old for this torch
                log.warning("the GPU cannot be used: %s", first_line(error))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    text = str(device).lower()
    try:
        return _check_device(torch.device(f"cuda:{text}" if text.isdecimal() else text))
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise InputError(
            f"device '{device}' cannot be used here: {reason}; leave it out to take the best one"
        ) from None


def _check_device(device: torch.device) -> torch.device:
    """The device, after it has computed something."""
    torch.zeros(1, device=device).add_(1)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return device


def floating_type(dtype: str | torch.dtype | None) -> torch.dtype:
    """The type of a network's numbers; float32 for None.

    Raises:
        InputError: another type than float32, float16 and bfloat16.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is None:
        return torch.float32
    if found not in (torch.float32, torch.float16, torch.bfloat16):
        raise InputError(f"dtype must be float32, float16 or bfloat16, found {dtype!r}")
    return found
