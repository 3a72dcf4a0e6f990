"""What the models of `init_model` have in common: they are used like `torch.nn.Module`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Self

__all__ = ["NetworkModel"]


class NetworkModel:
    """A network with its configuration and its processing.

    What it does not have itself is its network's: `parameters`, `named_parameters`, `state_dict`,
    `load_state_dict`, `modules`, `training`, ... Names of weights are posekit's, as in the files
    that it writes.

    Attributes:
        cfg: its configuration, with attribute access.
        dataset_meta: what its keypoints are, as MMPose names it.
    """

    cfg: Any
    dataset_meta: dict[str, Any]

    @property
    def net(self) -> nn.Module:
        """The bare network."""
        raise NotImplementedError

    def _moved(self) -> None:
        """Takes note that the network is elsewhere, or of another type."""
        raise NotImplementedError

    @property
    def test_cfg(self) -> Any:
        """`cfg.model.test_cfg`."""
        return self.cfg.model.test_cfg

    def eval(self) -> Self:
        """Sets the network to inference, as it is from the beginning; returns the model."""
        return self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Sets the network to training: `inference_topdown` gives noise then. Returns the model."""
        self.net.train(mode)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Sets whether the parameters get gradients; returns the model."""
        self.net.requires_grad_(requires_grad)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves the network to a device, or to another floating-point type; returns the model."""
        self.net.to(*args, **kwargs)
        self._moved()
        return self

    def cuda(self, device: Any = None) -> Self:
        """Moves the network to the GPU; returns the model."""
        if isinstance(device, int):
            device = f"cuda:{device}"
        return self.to(device or "cuda")

    def cpu(self) -> Self:
        """Moves the network to the CPU; returns the model."""
        return self.to("cpu")

    def half(self) -> Self:
        """Makes the network float16; returns the model."""
        import torch

        return self.to(torch.float16)

    def bfloat16(self) -> Self:
        """Makes the network bfloat16; returns the model."""
        import torch

        return self.to(torch.bfloat16)

    def double(self) -> Self:
        """Makes the network float64; returns the model."""
        import torch

        return self.to(torch.float64)

    def float(self) -> Self:
        """Makes the network float32; returns the model."""
        import torch

        return self.to(torch.float32)

    @property
    def device(self) -> Any:
        """Where the network is."""
        return next(self.net.parameters()).device

    def __getattr__(self, name: str) -> Any:
        # The network's own place is not there yet while a copy is being made.
        if not name.startswith("__") and name not in ("net", "estimator", "lifter"):
            net = self.net
            if hasattr(net, name):
                return getattr(net, name)
        raise AttributeError(f"{type(self).__name__} has no '{name}'")
