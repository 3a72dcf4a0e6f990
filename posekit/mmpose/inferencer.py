"""MMPose's inferencers, with the arguments that programs pass to them."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posekit import checkpoints
from posekit.config import nearest, read_config
from posekit.declared import document
from posekit.drawing.window import check_display
from posekit.errors import InputError
from posekit.locate import Located, locate
from posekit.mmpose.arguments import ARGUMENTS, check_applies, without_defaults
from posekit.mmpose.samples import data_sample
from posekit.mmpose.structures import PoseDataSample
from posekit.options import PredictOptions, class_numbers

if TYPE_CHECKING:
    import torch

    from posekit.result import PoseResult
    from posekit.spec import LifterSpec, OneStageSpec, PoseSpec

__all__ = [
    "MMPoseInferencer",
    "Pose2DInferencer",
    "check_applies",
    "check_dimension",
    "detector_categories",
    "get_model_aliases",
    "model_spec",
    "without_defaults",
]

log = logging.getLogger(__name__)


class MMPoseInferencer:
    """MMPose's inferencer: a call gives a generator of `visualization` and `predictions`.

    MMPose's behaviour is kept: if nobody is found, the whole image is one instance (turn off with
    `empty="none"` in a call); a video is lifted frame by frame (`lift_window=243` lifts it in
    windows); the flip test is done if the model's configuration has it (turn off with
    `flip_test=False`); and drawings are RGB.

    Args:
        pose2d: an alias (`human`), a name, an official config name or its path, of which only the
            name counts; or the path `<folder>/model/<name>.yaml` of a posekit model of your own.
        pose2d_weights: file or URL; None takes the published weights.
        pose3d: as `pose2d`, a 3D model; `pose2d` then names the 2D model it builds on.
        pose3d_weights: as `pose2d_weights`.
        device: "cpu", "cuda:1", ...; None uses the best one available.
        scope: accepted and ignored; posekit has no registries.
        det_model: an alias (`human`, `hand`, `face`, `animal`), a detector's name, official config
            name or path, or `whole_image`; None takes the pose model's own.
        det_weights: as `pose2d_weights`.
        det_cat_ids: the detector's classes to use; None uses those that the model is for.
        show_progress: show a progress bar in every call.
        trust: as in `posekit.load`; not an argument of MMPose.

    Raises:
        UnknownModelError: no such model or detector.
        WeightsError: weights do not fit, or the file is damaged.
        DownloadError: the weights cannot be downloaded.
        InputError: neither pose2d nor pose3d, or arguments that contradict each other.
    """

    def __init__(
        self,
        pose2d: str | Path | None = None,
        pose2d_weights: str | Path | None = None,
        pose3d: str | Path | None = None,
        pose3d_weights: str | Path | None = None,
        device: str | torch.device | None = None,
        scope: str | None = "mmpose",
        det_model: str | Path | None = None,
        det_weights: str | Path | None = None,
        det_cat_ids: int | Sequence[int] | None = None,
        show_progress: bool = False,
        *,
        trust: bool = False,
    ) -> None:
        if pose2d is None and pose3d is None:
            raise InputError(
                "name a model: MMPoseInferencer('human') or MMPoseInferencer(pose3d='human3d')"
            )
        if pose3d is None and pose3d_weights is not None:
            raise InputError("pose3d_weights are given, but no pose3d to load them into")
        log.debug("scope %r is ignored: posekit has no registries", scope)
        from posekit.predictor import load
        from posekit.spec import LifterSpec, OneStageSpec
        from posekit.weights.hub import naming_weights

        chosen = _name_or_none(pose2d if pose3d is None else pose3d) or ""
        spec, _ = check_dimension(chosen, three_d=pose3d is not None, trust=trust)
        self.lifts = isinstance(spec, LifterSpec)
        self.gives_3d = pose3d is not None
        self.is_one_stage = isinstance(spec, OneStageSpec)
        self.det_cat_ids = (
            detector_categories(det_model) if det_cat_ids is None else class_numbers(det_cat_ids)
        )
        self.show_progress = show_progress
        named: dict[str, Any] = {
            "weights": pose2d_weights if pose3d is None else pose3d_weights,
            "pose2d": None if pose3d is None else _name_or_none(pose2d),
            "pose2d_weights": None if pose3d is None else pose2d_weights,
            "detector": _name_or_none(det_model),
            "detector_weights": det_weights,
            "speed": "accurate",  # with the flip test of the model's configuration
            "device": device,
            "dtype": "float32",  # the reference's, on a GPU too
            "trust": trust,
        }
        keys = {
            "weights=": "pose2d_weights=" if pose3d is None else "pose3d_weights=",
            "detector_weights=": "det_weights=",
        }
        with naming_weights(keys):
            self.predictor = load(
                chosen, **{name: value for name, value in named.items() if value is not None}
            )

    @document(PredictOptions)
    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | Path | None = None,
        **options: Any,
    ) -> Iterator[dict[str, list[Any]]]:
        """Results, lazily: one dict for every `batch_size` images or frames.

        Args:
            inputs: path or URL of an image or a video, a folder, `webcam`, `webcam:1`, an image
                (H, W, 3), BGR, uint8, or a list of these.
            return_datasamples: give a `PoseDataSample` per image instead of a list of instances.
            batch_size: images that are detected at once and come in one dict.
            out_dir: gets `visualization/` and `predictions/`.
            {options}

        Raises:
            InputError: an unknown option, or one that has no effect for this model, at once; an
                input that cannot be read, when its turn comes.
        """
        given = self._options(options)
        if out_dir not in (None, ""):
            given["out_dir"] = out_dir
        if return_datasamples and given.get("draw_heatmap"):
            log.warning(
                "samples of an inferencer have no heatmaps: inference_topdown gives them with "
                "cfg_options={'model.test_cfg.output_heatmaps': True}"
            )
        if given.get("show"):
            check_display()
        results = self.predictor.stream(inputs, batch_size=batch_size, **given)
        return self._packed(
            results, batch_size, bool(options.get("return_vis", False)), return_datasamples
        )

    def _options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What the predictor is told."""
        known = {*ARGUMENTS, *PredictOptions.declared()}
        for name in options:
            if name not in known:
                close = nearest(name, sorted(known))
                hint = f"did you mean {' or '.join(close)}?" if close else f"known: {sorted(known)}"
                raise InputError(f"unknown argument '{name}'; {hint}")
        given = without_defaults(options)
        check_applies(given, three_d=self.gives_3d)
        quirks: dict[str, Any] = {"order": "name"}
        if not self.is_one_stage:
            quirks["empty"] = "whole_image"
        else:  # an explicit 0.3 is another than the model's own
            given |= {k: options[k] for k in ("bbox_thr", "nms_thr") if options.get(k) is not None}
        if self.lifts:
            quirks["lift_window"] = 1
        if self.show_progress:
            quirks["show_progress"] = True
        if self.det_cat_ids is not None:
            quirks["det_cat_ids"] = self.det_cat_ids
        return quirks | given

    def _packed(
        self,
        results: Iterator[PoseResult],
        batch_size: int,
        return_vis: bool,
        return_datasamples: bool,
    ) -> Iterator[dict[str, list[Any]]]:
        while batch := list(itertools.islice(results, batch_size)):
            yield {
                "visualization": [
                    # MMPose's drawings are RGB.
                    np.ascontiguousarray(result.visualization[..., ::-1])
                    for result in batch
                    if return_vis and result.visualization is not None
                ],
                "predictions": [
                    self._sample(result) if return_datasamples else result.instances()
                    for result in batch
                ],
            }

    def _sample(self, result: PoseResult) -> PoseDataSample:
        from posekit.stages.boxes import Boxes

        pose = result if result.pose3d is None else result.pose3d
        width, height = result.image_size
        return data_sample(
            pose.keypoints,
            pose.keypoint_scores,
            Boxes(result.boxes_xyxy, result.box_scores),
            image_shape=(height, width),
            image_path=result.source if result.frame_id is None else None,
            skeleton=pose.skeleton,
            input_size=self.predictor.estimator.input_size,
            padding=self.predictor.estimator.padding,
        )


class Pose2DInferencer(MMPoseInferencer):
    """MMPose's inferencer of 2D models alone: as `MMPoseInferencer(pose2d=model, ...)`."""

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        device: str | torch.device | None = None,
        scope: str | None = "mmpose",
        det_model: str | Path | None = None,
        det_weights: str | Path | None = None,
        det_cat_ids: int | Sequence[int] | None = None,
        show_progress: bool = False,
    ) -> None:
        super().__init__(
            pose2d=model,
            pose2d_weights=weights,
            device=device,
            scope=scope,
            det_model=det_model,
            det_weights=det_weights,
            det_cat_ids=det_cat_ids,
            show_progress=show_progress,
        )


def get_model_aliases(scope: str = "mmpose") -> dict[str, str]:
    """The aliases of pose models and the official config names that they stand for.

    Args:
        scope: accepted and ignored.
    """
    rows = (row for row in checkpoints.CHECKPOINTS if row.task != "detection")
    return {alias: row.config for row in rows for alias in row.aliases}


def model_spec(
    name: str | Path, *, trust: bool = False
) -> tuple[PoseSpec | OneStageSpec | LifterSpec, Located]:
    """The description of a pose model, and where its YAML is.

    Args:
        name: any name of a model, or the path of its YAML.
        trust: as in `posekit.load`.

    Raises:
        UnknownModelError: no such model; says what to do with a configuration of one's own.
        InputError: a detector, no name, or a YAML that does not describe a model.
    """
    from posekit.spec import DetectorSpec, load_spec

    if not isinstance(name, str | os.PathLike):
        raise InputError(
            f"expected a model's name or the path of its configuration, found {type(name).__name__}"
        )
    text = os.fspath(name)
    found = locate(text)
    spec = load_spec(found.name, found.search, trust=found.trusted(trust))
    if isinstance(spec, DetectorSpec):
        raise InputError(f"{name} is a detector: pass it as det_model")
    return spec, found


def check_dimension(
    name: str, *, three_d: bool, trust: bool = False
) -> tuple[PoseSpec | OneStageSpec | LifterSpec, Located]:
    """As `model_spec`, for a model that must be 3D, or must not be.

    Raises:
        InputError: the other kind of model.
    """
    from posekit.spec import LifterSpec

    spec, found = model_spec(name, trust=trust)
    gives_3d = isinstance(spec, LifterSpec) or getattr(spec, "keypoints_3d", False)
    if three_d != gives_3d:
        kind = "a 2D model: pass it as pose2d" if three_d else "a 3D model: pass it as pose3d"
        raise InputError(f"{name} is {kind}")
    return spec, found


def detector_categories(det_model: str | Path | None) -> tuple[int, ...] | None:
    """The classes that a detector's alias stands for; None leaves them to the pose model."""
    if det_model == "animal":
        return tuple(read_config("animal")["detector_categories"])
    return (0,) if det_model in ("human", "hand", "face") else None


def _name_or_none(name: Any) -> str | None:
    if name is not None and not isinstance(name, str | os.PathLike):
        raise InputError(f"expected a model's name or its configuration's path, found {name!r}")
    return None if name is None else os.fspath(name)
