"""A function for CVAT's automatic annotation, which pre-labels skeletons for people to correct.

    cvat-cli task auto-annotate 137 --function-module posekit.bridges.cvat -p model=str:human

`create` makes a detection function of CVAT's SDK: an object with `spec` and `detect`. The task
needs a label of type skeleton with the model's keypoints; `python -m posekit.bridges.cvat human`
prints it for CVAT's "Raw" label editor.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import numpy as np

from posekit.coco_form import category
from posekit.errors import InputError
from posekit.packages import need
from posekit.skeleton import Skeleton

if TYPE_CHECKING:
    from posekit.predictor import Predictor

__all__ = ["Annotator", "create", "raw_label"]


def create(
    model: str = "human",
    *,
    weights: str | None = None,
    detector: str | None = None,
    device: str | None = None,
    label: str | None = None,
    bbox_thr: float = 0.3,
    kpt_thr: float = 0.3,
) -> Annotator:
    """Makes the detection function for `--function-module`; `-p` sets the parameters.

    Args:
        model, weights, detector, device: as `posekit.load` takes them.
        label: the skeleton's name in the task; None for the name in `formats=coco`, such as
            "person".
        bbox_thr: the lowest score of a person, unless CVAT sets a threshold.
        kpt_thr: keypoints below this score are marked as outside.

    Raises:
        InputError: cvat-sdk is not installed, or as `posekit.load`.
    """
    from posekit.predictor import load

    chosen: dict[str, Any] = {"weights": weights, "detector": detector, "device": device}
    predictor = load(model, **{key: value for key, value in chosen.items() if value is not None})
    return Annotator(predictor, label=label, bbox_thr=bbox_thr, kpt_thr=kpt_thr)


class Annotator:
    """A detection function of CVAT's SDK.

    Args:
        predictor: what finds people.
        label, bbox_thr, kpt_thr: see `create`.

    Attributes:
        spec: a `cvat_sdk.auto_annotation.DetectionFunctionSpec`, a skeleton with a part for each
            keypoint, in the model's order.

    Raises:
        InputError: cvat-sdk is not installed.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        label: str | None = None,
        bbox_thr: float = 0.3,
        kpt_thr: float = 0.3,
    ) -> None:
        self._sdk = _sdk()
        self._predictor = predictor
        self._bbox_thr, self._kpt_thr = bbox_thr, kpt_thr
        skeleton = predictor.estimator.skeleton
        parts = [self._sdk.keypoint_spec(name, i) for i, name in enumerate(skeleton.names)]
        name = label or str(category(skeleton)["name"])
        whole = self._sdk.skeleton_label_spec(name, 0, sublabels=parts)
        self.spec = self._sdk.DetectionFunctionSpec(labels=[whole])

    def detect(self, context: Any, image: Any) -> Sequence[Any]:
        """The skeletons of an image.

        Args:
            context: of CVAT; its `conf_threshold`, if any, is the least score of a person.
            image: `PIL.Image.Image`.
        """
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
        least = context.conf_threshold  # None where CVAT says none
        least = self._bbox_thr if least is None else least
        (result,) = self._predictor.stream(pixels, bbox_thr=least)
        skeletons = []
        for number in np.flatnonzero(result.box_scores >= least).tolist():
            seen = result.keypoint_scores[number] >= self._kpt_thr
            if not seen.any():
                continue
            points = np.clip(result.keypoints[number], 0, np.subtract(result.image_size, 1))
            parts = [
                self._sdk.keypoint(i, point, outside=not shown)
                for i, (point, shown) in enumerate(zip(points.tolist(), seen.tolist(), strict=True))
            ]
            skeletons.append(self._sdk.skeleton(0, parts))
        return skeletons


def raw_label(skeleton: Skeleton, name: str | None = None) -> list[dict[str, Any]]:
    """The label of a skeleton for CVAT's "Raw" label editor.

    Its drawing has the keypoints on a circle, not where they are on people.

    Args:
        skeleton: the model's skeleton.
        name: name of the label; None for the name in `formats=coco`.
    """
    count = skeleton.num_keypoints
    turns = [2 * math.pi * i / count for i in range(count)]
    places = [(50 + 40 * math.sin(turn), 50 - 40 * math.cos(turn)) for turn in turns]
    lines = "".join(
        f'<line x1="{places[a][0]:.2f}" y1="{places[a][1]:.2f}" x2="{places[b][0]:.2f}" '
        f'y2="{places[b][1]:.2f}" stroke="black" data-type="edge" data-node-from="{a + 1}" '
        f'stroke-width="0.5" data-node-to="{b + 1}"></line>'
        for a, b in skeleton.links
    )
    circles = "".join(
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{x:.2f}" cy="{y:.2f}" '
        f'stroke-width="0.1" data-type="element node" data-element-id="{i}" data-node-id="{i}" '
        f"data-label-name={quoteattr(keypoint)}></circle>"
        for i, (keypoint, (x, y)) in enumerate(zip(skeleton.names, places, strict=True), 1)
    )
    parts = [
        {"name": keypoint, "type": "points", "color": f"#{r:02x}{g:02x}{b:02x}", "attributes": []}
        for keypoint, (r, g, b) in zip(skeleton.names, skeleton.keypoint_colors, strict=True)
    ]
    return [
        {
            "name": name or str(category(skeleton)["name"]),
            "type": "skeleton",
            "attributes": [],
            "svg": lines + circles,
            "sublabels": parts,
        }
    ]


def _sdk() -> Any:
    return need("cvat_sdk.auto_annotation", "posekit[cvat]")


def _print_label() -> None:
    from posekit.parts import find_parts
    from posekit.skeleton import load_skeleton
    from posekit.spec import OneStageSpec, PoseSpec

    parser = argparse.ArgumentParser(
        prog="python -m posekit.bridges.cvat",
        description="Print the label of a model's skeleton for CVAT's Raw label editor.",
    )
    parser.add_argument("model", help="any name that posekit.load takes")
    parser.add_argument("--label", help="the skeleton's name, such as person")
    chosen = parser.parse_args()
    parts = find_parts(chosen.model)
    spec = None if parts.model is None else parts.model.spec
    if not isinstance(spec, PoseSpec | OneStageSpec):
        raise InputError(f"expected a 2D pose model, found {chosen.model}")
    skeleton = load_skeleton(spec.keypoints, search=parts.search)
    print(json.dumps(raw_label(skeleton, chosen.label), indent=1))


if __name__ == "__main__":
    _print_label()
