"""Images in, poses out: reads, detects, crops, estimates, draws and writes, as a stream."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posekit.build import build_network, load_weights, select_device
from posekit.config import read_config, resolve_name
from posekit.detect import Detector
from posekit.draw import draw_pose
from posekit.errors import InputError
from posekit.estimate import PoseEstimator
from posekit.hub import resolve_weights
from posekit.media import ImageSource, iter_sources
from posekit.options import PredictOptions
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.write import ResultWriter

__all__ = ["Predictor", "load"]

log = logging.getLogger(__name__)

WHOLE_IMAGE = "whole_image"


def load(
    name: str,
    *,
    weights: str | Path | None = None,
    detector: str | None = None,
    detector_weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    config_dir: str | Path | None = None,
) -> Predictor:
    """A predictor with its networks, ready for images.

    Args:
        name: a model's public name, alias, official config name or path of such a config.
        weights: a local file in any layout that `weights_convert` reads, or a URL; None takes
            the published ones, from the local cache where they are there.
        detector: a detector's name, or "whole_image" for none; None takes the model's own, whose
            weights are fetched when the first image without `bboxes=` comes.
        detector_weights: as `weights`, for the detector.
        device: "cpu", "cuda", "cuda:1", "mps"; None takes the best there is.
        dtype: of the networks, such as torch.float16 or "bfloat16"; None for float32.
        config_dir: a folder with `model/`, `detector/` and `keypoints/` of your own, which is
            looked into before the packaged ones.

    Raises:
        UnknownModelError: no such model or detector.
        WeightsError: weights that do not fit, or a damaged file.
        DownloadError: no source gave the weights.
        InputError: a device or a type that cannot be used here.
    """
    search = () if config_dir is None else (Path(config_dir),)
    model = resolve_name(name, search)
    config = read_config(model, search)
    if "keypoints" not in config:
        raise InputError(f"{model} is a detector; name a pose model and pass detector='{model}'")
    if "pose2d" in config or config.get("keypoints_3d"):
        raise InputError(
            f"{model} gives 3D keypoints, which the predictor does not do yet; "
            f"posekit.create_model('{model}') is the network"
        )
    detector_name = config["detector"] if detector is None else detector
    return Predictor.from_config(
        model,
        config,
        weights=weights,
        detector=detector_name,
        detector_weights=detector_weights,
        lazy_detector=detector is None and detector_weights is None,
        device=device,
        dtype=dtype,
        search=search,
    )


class Predictor:
    """Finds poses in images. `posekit.load` makes one.

    Calling it gives MMPose's documented dict per image; `stream` gives a typed `PoseResult`.

    Args:
        estimator: boxes -> keypoints.
        detector: images -> boxes, or a function that makes it when it is first needed; None takes
            each image as one box.
        det_cat_ids: the detector's classes that the model is for.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        detector: Detector | Callable[[], Detector] | None = None,
        *,
        det_cat_ids: Sequence[int] = (0,),
    ) -> None:
        self.estimator = estimator
        self.det_cat_ids = tuple(det_cat_ids)
        self._detector = detector

    @classmethod
    def from_config(
        cls,
        name: str,
        config: Mapping[str, Any],
        *,
        weights: str | Path | None = None,
        detector: str | None = None,
        detector_config: Mapping[str, Any] | None = None,
        detector_weights: str | Path | None = None,
        lazy_detector: bool = False,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        search: Sequence[Path] = (),
    ) -> Predictor:
        """A predictor of a composed configuration; see `load` for the arguments.

        Args:
            config: a model's YAML.
            detector_config: the detector's YAML; None reads that of `detector`.
            lazy_detector: load the detector when it is first needed.
            search: folders of configurations that come before the packaged ones.
        """
        place = select_device(device)
        number = _floating_type(dtype)
        # All that can be checked without weights comes first: weights may take long.
        skeleton = load_skeleton(config["keypoints"], search=search)
        find: Callable[[], Detector] | None = None
        if detector not in (None, WHOLE_IMAGE):
            chosen = resolve_name(str(detector), search, detector=True)
            described = detector_config or read_config(chosen, search)
            if "classes" not in described:
                raise InputError(f"{chosen} is not a detector")

            def find() -> Detector:
                net = _load_network(chosen, described, detector_weights, place, number)
                return Detector(net, described)

        elif detector_weights is not None:
            raise InputError("detector_weights are given, but no detector to load them into")
        net = _load_network(name, config, weights, place, number)
        return cls(
            PoseEstimator(net, config, skeleton),
            find if find is None or lazy_detector else find(),
            det_cat_ids=config.get("detector_categories", (0,)),
        )

    @property
    def detector(self) -> Detector | None:
        """The detector, loaded on first use; None where the whole image is the box."""
        if self._detector is not None and not isinstance(self._detector, Detector):
            self._detector = self._detector()
        return self._detector

    def __call__(self, inputs: Any, **options: Any) -> Iterator[dict[str, list[Any]]]:
        """MMPose's documented dict of each image, lazily.

        Args:
            inputs: the path or URL of an image, a folder, an image (H, W, 3), BGR, uint8, or an
                iterable of these.
            options: see `PredictOptions`.

        Raises:
            InputError: an unknown option or a folder that cannot be written, at once; an input
                that cannot be read, when its turn comes.
        """
        return (result.to_mmpose() for result in self.stream(inputs, **options))

    def stream(self, inputs: Any, **options: Any) -> Iterator[PoseResult]:
        """As a call of the predictor, as typed results."""
        chosen = PredictOptions.from_keywords(options)
        writer = ResultWriter(chosen.predictions_dir, chosen.visualization_dir)
        return self._stream(iter_sources(inputs), chosen, writer)

    def _stream(
        self, sources: Iterator[ImageSource], options: PredictOptions, writer: ResultWriter
    ) -> Iterator[PoseResult]:
        frames = _read(sources, options)
        boxes = _GivenBoxes(options.bboxes)
        while chunk := list(itertools.islice(frames, options.batch_size)):
            images = [frame.image for frame in chunk]
            if options.bboxes is None:
                found = self._detect(images, options)
            else:
                found = [boxes.of(frame.index) for frame in chunk]
            poses = self.estimator(
                images,
                [box[:, :4] for box in found],
                flip_test=options.flip_test,
                batch_size=options.pose_batch_size,
            )
            for frame, box, (keypoints, scores) in zip(chunk, found, poses, strict=True):
                result = PoseResult(
                    keypoints=keypoints,
                    keypoint_scores=scores,
                    boxes_xyxy=box[:, :4],
                    box_scores=box[:, 4],
                    skeleton=self.estimator.skeleton,
                    image_size=(frame.image.shape[1], frame.image.shape[0]),
                    name=frame.name,
                    index=frame.index,
                    source=frame.source,
                )
                if options.wants_drawing:
                    drawing = _draw(frame.image, result, options)
                    result = dataclasses.replace(result, visualization=drawing)
                writer.write(result)
                yield result

    def _detect(self, images: list[np.ndarray], options: PredictOptions) -> list[np.ndarray]:
        """Boxes with scores (n, 5) of each image."""
        if self.detector is None:
            return [_whole(image) for image in images]
        categories = self.det_cat_ids if options.det_cat_ids is None else options.det_cat_ids
        found = []
        for image, detections in zip(
            images, self.detector(images, score_threshold=options.bbox_thr), strict=True
        ):
            chosen = detections.select(
                categories, score_threshold=options.bbox_thr, nms_threshold=options.nms_thr
            )
            boxes = np.column_stack([chosen.boxes_xyxy, chosen.scores])
            if not len(boxes) and options.empty == WHOLE_IMAGE:
                boxes = _whole(image)
            found.append(boxes)
        return found


@dataclass(frozen=True)
class Frame:
    """An image that was read: (H, W, 3), BGR, uint8."""

    image: np.ndarray
    name: str
    index: int
    source: str | None


def _read(sources: Iterator[ImageSource], options: PredictOptions) -> Iterator[Frame]:
    """The images that can be read; the others go to the error policy."""
    for index, source in enumerate(sources):
        try:
            image = source.load()
        except InputError as error:
            if options.on_error == "raise":
                raise
            if callable(options.on_error):
                options.on_error(source.source or source.name, error)
            else:
                log.warning("skipped: %s", error)
            continue
        yield Frame(image, source.name, index, source.source)


class _GivenBoxes:
    """The option `bboxes`, as (n, 5) of each image."""

    def __init__(self, bboxes: Any) -> None:
        self.for_one_image = bboxes is not None and _depth(bboxes) <= 2
        self.per_image = [bboxes] if self.for_one_image else bboxes

    def of(self, index: int) -> np.ndarray:
        if index >= len(self.per_image):
            raise InputError(
                f"bboxes has boxes for {len(self.per_image)} images, but there is image number "
                f"{index + 1}; give one array (n, 4) per image"
            )
        try:
            boxes = np.asarray(self.per_image[index], np.float32)
        except (TypeError, ValueError):
            raise InputError(f"bboxes of image {index} are not numbers (n, 4) or (n, 5)") from None
        boxes = boxes.reshape(-1, boxes.shape[-1]) if boxes.size else np.zeros((0, 4), np.float32)
        if boxes.shape[1] not in (4, 5):
            raise InputError(
                f"bboxes of image {index} must be (n, 4) or (n, 5), found {boxes.shape}"
            )
        if not np.isfinite(boxes).all() or (boxes[:, 2:4] < boxes[:, :2]).any():
            raise InputError(
                f"bboxes of image {index} must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, "
                f"found {boxes.tolist()}"
            )
        if boxes.shape[1] == 4:
            boxes = np.column_stack([boxes, np.ones(len(boxes), np.float32)])
        return boxes


def _depth(nested: Any) -> int:
    """How deep numbers lie: 2 for [[1, 2]], 3 for [[[1, 2]]]."""
    if isinstance(nested, np.ndarray):
        # An object array holds one array per image.
        return nested.ndim if nested.dtype != object else 1 + max(map(_depth, nested), default=1)
    if isinstance(nested, Sequence) and not isinstance(nested, str):
        return 1 + max(map(_depth, nested), default=1)
    return 0


def _whole(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return np.array([[0, 0, width, height, 1]], np.float32)


def _draw(image: np.ndarray, result: PoseResult, options: PredictOptions) -> np.ndarray:
    return draw_pose(
        image,
        result.keypoints,
        result.keypoint_scores,
        result.skeleton,
        boxes=result.boxes_xyxy,
        radius=options.radius,
        thickness=options.thickness,
        kpt_thr=options.kpt_thr,
        style=options.skeleton_style,
        draw_bbox=options.draw_bbox,
        black_background=options.black_background,
    )


def _load_network(
    name: str,
    config: Mapping[str, Any],
    weights: str | Path | None,
    device: torch.device,
    dtype: torch.dtype,
) -> torch.nn.Module:
    net = build_network(config["net"])
    return load_weights(net, resolve_weights(name, weights), device=device, dtype=dtype)


def _floating_type(dtype: str | torch.dtype | None) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found is None and dtype is None:
        return torch.float32
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"dtype must be float32, float16 or bfloat16, found {dtype!r}")
    return found
