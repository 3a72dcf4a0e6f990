"""MMPose's interface to a 2D model: `init_model`, `inference_topdown`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from posekit.errors import InputError
from posekit.metainfo import dataset_meta
from posekit.mmpose.elements import as_array
from posekit.mmpose.inferencer import model_spec
from posekit.mmpose.network import NetworkModel
from posekit.mmpose.samples import data_sample
from posekit.mmpose.structures import PixelData, PoseDataSample
from posekit.mmpose.visualizer import imread

if TYPE_CHECKING:
    import torch
    from torch import nn

    from posekit.mmpose.lifting import LifterModel
    from posekit.stages.boxes import Boxes
    from posekit.stages.estimate import Crops, PoseEstimator

__all__ = ["TopdownModel", "inference_bottomup", "inference_topdown", "init_model"]

# Crops that go through the network at once.
BATCH_SIZE = 64


class TopdownModel(NetworkModel):
    """A 2D pose model for `inference_topdown`; `init_model` makes one.

    Args:
        cfg: its configuration, with attribute access. Two parts are read when they are used:
            `cfg.model.test_cfg` (`flip_test`, `output_heatmaps`) and `cfg.visualizer`.
        dataset_meta: what its keypoints are, as MMPose names it.
        estimator: boxes -> keypoints.
    """

    def __init__(self, cfg: Any, dataset_meta: dict[str, Any], estimator: PoseEstimator) -> None:
        self.cfg = cfg
        self.dataset_meta = dataset_meta
        self.estimator = estimator

    @property
    def net(self) -> nn.Module:
        """The bare network."""
        return self.estimator.net

    def _moved(self) -> None:
        from posekit.stages.estimate import PoseEstimator

        self.estimator = PoseEstimator(self.net, self.estimator.spec, self.estimator.skeleton)


def init_model(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
) -> TopdownModel | LifterModel:
    """Loads a 2D pose model, or one that lifts 2D poses to 3D.

    Args:
        config: any name of a model, see `MMPoseInferencer`.
        checkpoint: file or URL; None takes the published weights.
        device: None uses the best one available.
        cfg_options: `{"model": {"test_cfg": {"flip_test": False, "output_heatmaps": True}}}` or
            `{"model.test_cfg.flip_test": False}`; `visualizer` has what `VISUALIZERS.build` takes.
        trust: as in `posekit.load`; not an argument of MMPose.

    Raises:
        InputError: a detector, a 3D model of hands or a one-stage model, a device that is not
            there, another cfg_options.
        UnknownModelError, WeightsError, DownloadError: as `MMPoseInferencer`.
    """
    from posekit.spec import LifterSpec, OneStageSpec

    spec, found = model_spec(config, trust=trust)
    name = os.fspath(config)
    if isinstance(spec, OneStageSpec):
        raise InputError(
            f"{name} finds people itself and takes no boxes: MMPoseInferencer({name!r}) runs it"
        )
    if not isinstance(spec, LifterSpec) and spec.keypoints_3d:
        raise InputError(
            f"{name} is a 3D model of hands: MMPoseInferencer(pose3d={name!r}) runs it"
        )
    test_cfg = {"flip_test": spec.flip_test, "output_heatmaps": False}
    visualizer = {"type": "PoseLocalVisualizer", "name": "visualizer", "vis_backends": []}
    if isinstance(spec, LifterSpec):
        visualizer["type"] = "Pose3dLocalVisualizer"
    cfg = {**spec.to_config(), "model": {"test_cfg": test_cfg}, "visualizer": visualizer}
    if not isinstance(cfg_options, Mapping | None):
        raise InputError(f"cfg_options must be a dict, found {type(cfg_options).__name__}")
    for key, value in _flat(cfg_options or {}):
        part, last = _option(key, value)
        (test_cfg if part == "model.test_cfg" else visualizer)[last] = value

    from omegaconf import OmegaConf

    if isinstance(spec, LifterSpec):
        from posekit.mmpose.lifting import load_lifter

        return load_lifter(spec, found, checkpoint, device, cfg)
    from posekit.predictor import load
    from posekit.stages.estimate import PoseEstimator
    from posekit.weights.hub import naming_weights

    with naming_weights({"weights=": "checkpoint="}):
        predictor = load(
            name,
            weights=checkpoint,
            detector="whole_image",
            device=device,
            backend="eager",  # such a model may be moved or changed
            trust=trust,
        )
    assert isinstance(predictor.estimator, PoseEstimator)
    return TopdownModel(
        cfg=OmegaConf.create(cfg, flags={"allow_objects": True}),
        dataset_meta=dataset_meta(predictor.estimator.skeleton),
        estimator=predictor.estimator,
    )


def inference_topdown(
    model: TopdownModel,
    img: str | Path | np.ndarray,
    bboxes: Any = None,
    bbox_format: Literal["xyxy", "xywh"] = "xyxy",
) -> list[PoseDataSample]:
    """Estimates the pose in each box of an image.

    Args:
        model: from `init_model`.
        img: path, URL, or an image (H, W, 3), BGR, uint8.
        bboxes: (n, 4), or (n, 5) with scores, in pixels; None or no box takes the whole image.
        bbox_format: "xyxy" (corners) or "xywh" (left, top, width, height).

    Returns:
        One sample per box: `pred_instances` has `keypoints` (1, K, 2), float64, in pixels,
        `keypoint_scores` and `keypoints_visible` (1, K), `bboxes` (1, 4), `bbox_scores` (1,).
        With `output_heatmaps`, `pred_fields.heatmaps` is a tensor (K, h, w) over the crop, whose
        place is the metainfo `input_center` and `input_scale`, (2,) each. SimCC models have no maps
        of their own: theirs are the products of `keypoint_y_labels` (1, K, h) and
        `keypoint_x_labels` (1, K, w), in `pred_instances`, each between 0 and 1.

    Raises:
        InputError: an image that cannot be read, boxes of another shape, a model that lifts.
    """
    from posekit.stages.boxes import whole_image

    if not isinstance(model, TopdownModel):
        raise InputError(
            f"expected a 2D model from init_model, found {type(model).__name__}; "
            "inference_pose_lifter_model takes one that lifts"
        )
    image = imread(img)
    height, width = image.shape[:2]
    boxes = _boxes(bboxes, bbox_format)
    if not len(boxes):
        boxes = whole_image(image)
    estimator, test_cfg = model.estimator, model.test_cfg
    samples: list[PoseDataSample] = []
    for crops in estimator.crop_batches([image], [boxes.xyxy], batch_size=BATCH_SIZE):
        outputs = estimator.forward(crops.pixels, flip_test=bool(test_cfg.flip_test))
        in_crop, scores = estimator.codec.decode(outputs)
        keypoints = crops.to_image(in_crop)
        first = len(samples)
        for i in range(len(keypoints)):
            samples.append(
                data_sample(
                    keypoints[[i]],
                    scores[[i]],
                    boxes[[first + i]],
                    image_shape=(height, width),
                    image_path=None if isinstance(img, np.ndarray) else os.fspath(img),
                    skeleton=estimator.skeleton,
                    input_size=estimator.input_size,
                    padding=estimator.padding,
                )
            )
        if test_cfg.output_heatmaps:
            _add_heatmaps(samples[first:], outputs, crops)
    return samples


def inference_bottomup(model: Any, img: str | Path | np.ndarray) -> list[PoseDataSample]:
    """Not supported: posekit has no bottom-up models for `init_model`.

    Raises:
        InputError: always; says what to use.
    """
    raise InputError(
        "posekit has no bottom-up models: init_model and inference_topdown find the people first, "
        "and MMPoseInferencer('rtmo') finds people and keypoints at once"
    )


def _add_heatmaps(samples: list[PoseDataSample], outputs: Any, crops: Crops) -> None:
    """Gives each sample its maps (K, h, w), float32, and says where they lie in the image."""
    import torch

    if isinstance(outputs, tuple):
        x, y = (_up_to_one(bins) for bins in outputs)  # (n, K, w), (n, K, h)
        maps = torch.matmul(y[..., None], x[:, :, None])
        for sample, along_x, along_y in zip(samples, x.cpu(), y.cpu(), strict=True):
            sample.pred_instances.keypoint_x_labels = along_x[None].numpy()
            sample.pred_instances.keypoint_y_labels = along_y[None].numpy()
    else:
        # UDP's regression has three maps of each keypoint, the first of them its heat map.
        count = samples[0].pred_instances.keypoints.shape[1]
        maps = outputs[:, :: outputs.shape[1] // count].to(torch.float32, copy=True)
    for sample, own, center, scale in zip(samples, maps, crops.centers, crops.scales, strict=True):
        sample.set_metainfo({"input_center": center, "input_scale": scale})
        sample.pred_fields = PixelData(heatmaps=own)


def _up_to_one(bins: torch.Tensor) -> torch.Tensor:
    """Logits without their negative part; where a keypoint's exceed 1, as shares of the highest."""
    positive = bins.float().clamp(min=0)
    return positive / positive.amax(dim=-1, keepdim=True).clamp(min=1)


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """MMPose's nested or dotted options, dotted."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _option(key: str, value: Any) -> tuple[str, str]:
    """The part of the configuration that an option is in, and its name there."""
    part, _, last = key.rpartition(".")
    known = part == "model.test_cfg" and last in ("flip_test", "output_heatmaps")
    if part != "visualizer" and not (known and isinstance(value, bool)):
        raise InputError(
            "cfg_options: expected model.test_cfg.flip_test or model.test_cfg.output_heatmaps "
            f"as True or False, or visualizer, found {key}={value!r}; put other settings in a "
            "YAML of your own"
        )
    return part, last


def _boxes(bboxes: Any, bbox_format: str) -> Boxes:
    """Those of an image, as the call names them."""
    from posekit.stages.boxes import parse_boxes

    if bbox_format not in ("xyxy", "xywh"):
        raise InputError(f"bbox_format must be 'xyxy' or 'xywh', found {bbox_format!r}")
    try:
        boxes = as_array([] if bboxes is None else bboxes, np.float32)
    except InputError as error:
        raise InputError(f"bboxes must be numbers (n, 4) or (n, 5): {error}") from None
    if boxes.ndim != 2 and boxes.shape != (0,):
        raise InputError(f"bboxes must be (n, 4) or (n, 5), found {boxes.shape}")
    hint = "; is bbox_format the right one?"
    return parse_boxes(boxes, "bboxes", xywh=bbox_format == "xywh", hint=hint)
