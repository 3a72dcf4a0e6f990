"""Folding batch norms changes nothing but the number of operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from posekit.backends.outputs import flatten
from posekit.models.fuse import fold_batch_norms
from posekit.weights.load import create_model


def with_statistics(net: nn.Module) -> nn.Module:
    """Norms that do something."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.8, 1.2),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.uniform_(low, high, generator=generator)
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("rtmpose-t_body8-256x192", (256, 192)),
        ("rtmdet-tiny_coco-640", (96, 96)),  # its towers share convolutions between levels
        ("yolox-tiny_coco-416", (96, 96)),
        ("vitpose-s_coco-256x192", (256, 192)),  # deconvolutions
    ],
)
def test_outputs_stay_and_norms_go(name: str, size: tuple[int, int]) -> None:
    net = with_statistics(create_model(name)).double()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(1, 3, *size, generator=generator, dtype=torch.float64)
    folded = fold_batch_norms(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for a, b in zip(flatten(net(images)), flatten(folded(images)), strict=True):
        torch.testing.assert_close(b, a, atol=1e-10 * float(a.std()), rtol=0)
    assert all(before[key].equal(value) for key, value in net.state_dict().items())


def test_one_convolution_is_folded_to_the_last_bits() -> None:
    net = with_statistics(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)))
    images = torch.randn(2, 3, 15, 15, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fold_batch_norms(net)(images), net(images), atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_folding_on_a_gpu_gives_the_same_values(dtype: torch.dtype) -> None:
    net = with_statistics(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))).to(dtype)
    expected = dict(fold_batch_norms(net).named_parameters())
    device = torch.device("cuda")
    found = dict(fold_batch_norms(net.to(device)).named_parameters())
    assert list(found) == list(expected)
    for key, value in found.items():
        assert value.device.type == device.type
        torch.testing.assert_close(value.cpu(), expected[key], atol=0, rtol=0)


def test_double_precision_is_used_on_the_cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # MPS has none. What counts is the order: off the device first.
    moved = set()

    class Parameter(nn.Parameter):
        """As on a device without double precision."""

        def cpu(self) -> Tensor:
            moved.add(self.shape)
            return self.detach().as_subclass(Tensor)

        def double(self) -> Tensor:
            raise TypeError("there is no float64 here")

    net = with_statistics(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    expected = fold_batch_norms(net)(torch.ones(1, 3, 4, 4))
    for module in net:
        for key, value in module.named_parameters():
            setattr(module, key, Parameter(value.data, requires_grad=False))
    torch.testing.assert_close(fold_batch_norms(net)(torch.ones(1, 3, 4, 4)), expected)
    assert moved == {(8, 3, 3, 3), (8,)}


def test_a_convolution_whose_output_is_used_twice_keeps_its_norm() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.norm(x) + x

    net = with_statistics(Twice())
    images = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(fold_batch_norms(net)(images), net(images))


def test_a_network_that_cannot_be_traced_stays_as_it_is() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x)) if x.sum() > 0 else x

    net = Branching().eval()
    assert fold_batch_norms(net) is net


def test_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"net\.eval"):
        fold_batch_norms(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
