"""What the API answers, as the types of its schema."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from posekit.metainfo import dataset_meta
from posekit.predictor import Predictor
from posekit.result import PoseResult
from posekit.version import __version__

__all__ = ["Fault", "Model", "Poses", "Received", "poses_of"]


class Fault(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="what was expected, what was found and what to do")


class Instance(BaseModel):
    """An instance (person, animal, hand or face) in the image."""

    keypoints: list[list[float]] = Field(
        description="x and y in pixels of each keypoint; x, y and z of models that give 3D poses"
    )
    keypoint_scores: list[float] = Field(description="higher is more certain; may exceed 1")
    bbox: list[list[float]] | None = Field(
        None, description="x1, y1, x2, y2 in pixels, in a list of one; not of poses lifted to 3D"
    )
    bbox_score: float | None = Field(None, description="0 to 1")


class Meta(BaseModel):
    """What the keypoints are: MMPose's `meta_info`."""

    model_config = ConfigDict(extra="allow")

    dataset_name: str | None = None
    num_keypoints: int
    keypoint_id2name: dict[str, str]
    skeleton_links: list[list[int]]


class About(BaseModel):
    """What the answer was made with."""

    version: str = Field(description="version of posekit")
    models: dict[str, str] = Field(
        description='names of the "model", the "detector" and the "lifter"'
    )
    licenses: dict[str, str] = Field(description="licences of the published weights, by model")
    name: str = Field(description="name of the image")
    size: tuple[int, int] = Field(description="width and height in pixels")


class Poses(BaseModel):
    """The people in an image, as `pred_format=posekit` writes them."""

    meta_info: Meta
    about: About
    instance_info: list[Instance]
    complete: bool = True


class Model(BaseModel):
    """A model that can be chosen."""

    name: str
    aliases: list[str]
    task: str
    license: str = Field(description="licence of the weights")
    parameters: float | None = Field(description="number of parameters, in millions")


class Received(BaseModel):
    """A file that a visitor of the page sent."""

    name: str
    kind: str
    size: tuple[int, int]
    frames: int | None = None


def poses_of(result: PoseResult, predictor: Predictor, name: str) -> Poses:
    """The result for an image as an answer."""
    skeleton = result.skeleton if result.pose3d is None else result.pose3d.skeleton
    about = About(
        version=__version__,
        models=predictor.models,
        licenses=predictor.licenses,
        name=name,
        size=result.image_size,
    )
    return Poses(
        meta_info=Meta(**_plain(dataset_meta(skeleton))),
        about=about,
        instance_info=[Instance(**_instance(one)) for one in result.instances()],
    )


def _instance(instance: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in instance.items() if name in Instance.model_fields}
    if "bbox" in known:
        known["bbox"] = [list(box) for box in known["bbox"]]
    return known


def _plain(value: Any) -> Any:
    """With arrays and sets as lists and with keys that JSON has."""
    if isinstance(value, dict):
        return {str(key): _plain(inside) for key, inside in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inside) for inside in value]
    return value.item() if isinstance(value, np.generic) else value
