"""Networks that learn a few drawn people by heart, so that their maxima are clear.

A network with random weights has nearly the same score everywhere: rounding moves its maxima at
will, and says nothing of networks that have learnt something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu.rows import Rows
from posekit.datasets.synthetic import Scene
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.training.losses import RTMDetLoss, SimCCLoss, pose_loss
from posekit.transforms.affine import boxes_to_cs
from posekit.transforms.image import letterbox

__all__ = ["learn_boxes", "learn_poses"]

RATE = 1e-3  # at most; it rises over a tenth of the steps and falls to 0
CLIPPED = 1.0  # norm of gradients


def learn_poses(estimator: PoseEstimator, scenes: Sequence[Scene], steps: int, rows: Rows) -> None:
    """The keypoints of all people of the scenes, in one batch that comes again and again."""
    images, boxes = [s.image for s in scenes], [s.boxes_xyxy for s in scenes]
    (crops,) = estimator.crop_batches(images, boxes, batch_size=10_000)
    keypoints = np.concatenate([scene.keypoints for scene in scenes])
    centers, scales = boxes_to_cs(
        np.concatenate(boxes), input_size=estimator.input_size, padding=estimator.padding
    )
    # Within a crop; models with UDP count pixels from their middles, which is nothing here.
    sizes = np.array(estimator.input_size) / scales[:, None]
    places = (keypoints[..., :2] - (centers - scales / 2)[:, None]) * sizes
    visible = (keypoints[..., 2] > 0).astype(np.float32)
    device = estimator.device
    targets, weights = estimator.codec.encode(
        torch.from_numpy(places.astype(np.float32)).to(device),
        torch.from_numpy(visible).to(device),
    )
    inputs = estimator.normalize(crops.pixels)
    criterion = pose_loss(estimator.spec, estimator.codec)

    def loss() -> Tensor:
        outputs = _in_float32(estimator.net(inputs))
        found: Tensor = criterion(outputs, targets, weights)
        return found / len(inputs) if isinstance(criterion, SimCCLoss) else 1e3 * found

    _learn(estimator.net, loss, steps, rows)


def learn_boxes(detector: Detector, scenes: Sequence[Scene], steps: int, rows: Rows) -> None:
    """The boxes of all people of the scenes."""
    width, height = detector.input_size
    batch = np.empty((len(scenes), height, width, 3), np.uint8)
    boxes = [
        torch.from_numpy(scene.boxes_xyxy)
        * torch.tensor(letterbox(scene.image, out, detector.pad_value)).repeat(2)
        for scene, out in zip(scenes, batch, strict=True)
    ]
    labels = [torch.zeros(len(of_image), dtype=torch.int64) for of_image in boxes]
    inputs = detector.normalize(batch)
    criterion = RTMDetLoss(strides=detector.codec.strides)

    def loss() -> Tensor:
        return criterion(_in_float32(detector.net(inputs)), boxes, labels).total

    _learn(detector.net, loss, steps, rows)


def _learn(net: nn.Module, loss: Callable[[], Tensor], steps: int, rows: Rows) -> None:
    """Lowers a loss; leaves the network in eval mode and without gradients."""
    device = next(net.parameters()).device
    net.train().requires_grad_(True)
    for module in net.modules():
        for name in ("p", "drop_prob"):  # of dropout and dropped paths
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.0)
    rise = max(steps // 10, 1)

    def factor(step: int) -> float:
        return min((step + 1) / rise, 0.5 + 0.5 * math.cos(math.pi * step / steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(steps):
        if rows.left <= 0:
            raise TimeoutError("no time was left to learn it")
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIPPED)
        optimizer.step()
        schedule.step()
    net.eval().requires_grad_(False)


def _in_float32(outputs: object) -> object:
    if isinstance(outputs, Tensor):
        return outputs.float()
    assert isinstance(outputs, list | tuple)
    return tuple(_in_float32(item) for item in outputs)
