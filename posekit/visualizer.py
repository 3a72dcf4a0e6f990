"""MMPose's visualizer and `visualize` over `posekit.draw`: RGB in and out, no registry."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import cv2
import numpy as np

from posekit.draw import Style, draw_heatmap, draw_pose
from posekit.errors import InputError
from posekit.media import read_frames, to_bgr
from posekit.show import show_image
from posekit.skeleton import Skeleton, load_skeleton, skeleton_names
from posekit.structures import InstanceData, PoseDataSample

__all__ = ["VISUALIZERS", "PoseLocalVisualizer", "dataset_meta", "imread", "visualize"]

# The skeletons that are guessed from a number of keypoints.
SKELETON_OF_COUNT = {
    17: "coco",
    19: "aflw",
    21: "coco_wholebody_hand",
    26: "halpe26",
    29: "cofw",
    42: "interhand3d",
    68: "coco_wholebody_face",
    98: "wflw",
    106: "lapa",
    133: "coco_wholebody",
    136: "halpe",
}


def visualize(
    img: str | Path | np.ndarray,
    keypoints: Any,
    keypoint_score: Any = None,
    metainfo: str | Path | Mapping[str, Any] | None = None,
    visualizer: PoseLocalVisualizer | None = None,
    show_kpt_idx: bool = False,
    skeleton_style: Style = "mmpose",
    show: bool = False,
    kpt_thr: float = 0.3,
) -> np.ndarray:
    """Draws poses on an image.

    Args:
        img: path, URL, or an image (H, W, 3), BGR, uint8.
        keypoints: (n, K, 2), or (K, 2) of one instance, in pixels.
        keypoint_score: (n, K), or (K,) of one instance; None draws all.
        metainfo: what the K keypoints are: a skeleton's name, the path of an official dataset
            config (looked up by its stem, not read), a `dataset_meta`; None goes by K.
        visualizer: draws with its sizes.
        show_kpt_idx: write the number beside each keypoint.
        skeleton_style: "mmpose" or "openpose".
        show: open a window.
        kpt_thr: keypoints of a lower score are not drawn.

    Returns:
        The drawing (H, W, 3), RGB, uint8.

    Raises:
        InputError: shapes that do not fit, an unknown skeleton, no display to show on.
    """
    points = np.asarray(keypoints, np.float64)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[2] < 2:
        raise InputError(f"keypoints must be (n, K, 2), found {points.shape}")
    points = points[..., :2]
    scores = np.ones(points.shape[:2]) if keypoint_score is None else np.asarray(keypoint_score)
    scores = scores[None] if scores.ndim == 1 else scores
    drawer = visualizer or PoseLocalVisualizer()
    if metainfo is not None or drawer.skeleton is None:
        drawer.skeleton = _skeleton(metainfo, points.shape[1])
    sample = PoseDataSample(pred_instances=InstanceData(keypoints=points, keypoint_scores=scores))
    drawer.add_datasample(
        "visualization",
        imread(img)[..., ::-1],
        data_sample=sample,
        draw_gt=False,
        show_kpt_idx=show_kpt_idx,
        skeleton_style=skeleton_style,
        show=show,
        kpt_thr=kpt_thr,
    )
    return drawer.get_image()


class PoseLocalVisualizer:
    """Draws data samples; images go in and come out as RGB.

    Args:
        name: the title of its window.
        radius: of a keypoint's dot, in pixels.
        line_width: of links and boxes, in pixels.
        alpha: opacity of what is drawn, 0 to 1.
    """

    def __init__(
        self,
        name: str = "visualizer",
        *,
        radius: int = 3,
        line_width: int = 1,
        alpha: float = 1.0,
    ) -> None:
        self.name = name
        self.radius = radius
        self.line_width = line_width
        self.alpha = alpha
        self.skeleton: Skeleton | None = None
        self.skeleton_style: Style = "mmpose"
        self._image: np.ndarray | None = None

    def set_dataset_meta(
        self,
        dataset_meta: Mapping[str, Any] | str | Path,
        skeleton_style: Style = "mmpose",
    ) -> None:
        """Says what the keypoints are; see `visualize` for what it may be."""
        self.skeleton = _skeleton(dataset_meta, None)
        self.skeleton_style = skeleton_style

    def set_image(self, image: np.ndarray) -> None:
        """Replaces the drawing by an image (H, W, 3), RGB."""
        self._image = image.copy()

    def get_image(self) -> np.ndarray:
        """The last drawing, (H, W, 3), RGB, uint8.

        Raises:
            InputError: nothing was drawn yet.
        """
        if self._image is None:
            raise InputError("nothing was drawn yet; call add_datasample first")
        return self._image

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: PoseDataSample,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_heatmap: bool = False,
        draw_bbox: bool = False,
        show_kpt_idx: bool = False,
        skeleton_style: Style | None = None,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | Path | None = None,
        kpt_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draws a sample; `get_image` gives the drawing.

        Args:
            name: the window's title.
            image: (H, W, 3), RGB, uint8; is not changed.
            data_sample: its instances, with the dataset's meta that was set.
            draw_gt: put the true keypoints, where the sample has any, left of the predicted ones.
            draw_pred: draw the predicted ones.
            draw_heatmap: put the heat maps, where the sample has them, below the drawing.
            draw_bbox: draw the boxes.
            show_kpt_idx: write the number beside each keypoint.
            skeleton_style: "mmpose" or "openpose"; None as `set_dataset_meta` was told.
            show: open a window.
            wait_time: seconds that it stays; 0 waits for a key.
            out_file: write the drawing there, in the format of its suffix.
            kpt_thr: keypoints of a lower score are not drawn.
            step: accepted and ignored.

        Raises:
            InputError: shapes that do not fit, a file that cannot be written, no display.
        """
        style = skeleton_style or self.skeleton_style
        halves = []
        for wanted, field in ((draw_gt, "gt_instances"), (draw_pred, "pred_instances")):
            if wanted and "keypoints" in data_sample.get(field, ()):
                instances = data_sample.get(field)
                halves.append(
                    self._drawn(image, instances, style, kpt_thr, draw_bbox, show_kpt_idx)
                )
        drawing = np.concatenate(halves or [image], axis=1)
        if draw_heatmap and "pred_fields" in data_sample:
            heat = _draw_heatmap(image, data_sample.pred_fields.heatmaps)
            drawing = np.concatenate([drawing, np.concatenate([heat] * max(1, len(halves)), 1)])
        self.set_image(drawing)
        if out_file is not None:
            _write_image(Path(out_file), drawing)
        if show:
            self.show(win_name=name, wait_time=wait_time)

    def show(
        self,
        drawn_img: np.ndarray | None = None,
        win_name: str | None = None,
        wait_time: float = 0,
    ) -> None:
        """Shows an image (H, W, 3), RGB, or the last drawing in a window.

        Raises:
            InputError: no display, or nothing was drawn yet.
        """
        image = self.get_image() if drawn_img is None else drawn_img
        show_image(np.ascontiguousarray(image[..., ::-1]), win_name or self.name, wait_time)

    def _drawn(
        self,
        image: np.ndarray,
        instances: InstanceData,
        style: Style,
        kpt_thr: float,
        draw_bbox: bool,
        show_kpt_idx: bool,
    ) -> np.ndarray:
        keypoints = np.asarray(instances.keypoints)[..., :2]
        scores = instances.get("keypoint_scores", instances.get("keypoints_visible"))
        scores = np.ones(keypoints.shape[:2]) if scores is None else np.asarray(scores)
        skeleton = self.skeleton or _skeleton(None, keypoints.shape[1])
        below = np.ascontiguousarray(image[..., ::-1])
        drawing = draw_pose(
            below,
            keypoints,
            scores,
            skeleton,
            boxes=instances.get("bboxes") if draw_bbox else None,
            radius=self.radius,
            thickness=self.line_width,
            kpt_thr=kpt_thr,
            style=style,
            draw_bbox=draw_bbox and "bboxes" in instances,
        )
        if show_kpt_idx:
            _write_indices(drawing, keypoints, scores >= kpt_thr, self.radius)
        if self.alpha < 1:
            blended = cv2.addWeighted(drawing, self.alpha, below, 1 - self.alpha, 0)
            drawing = np.asarray(blended, np.uint8)
        return np.ascontiguousarray(drawing[..., ::-1])


class _Visualizers:
    """Where MMPose has a registry, posekit has one class."""

    @staticmethod
    def build(cfg: Mapping[str, Any]) -> PoseLocalVisualizer:
        """The visualizer of a configuration, such as `model.cfg.visualizer`.

        Args:
            cfg: `type` is `PoseLocalVisualizer`; name, radius, line_width and alpha are its
                arguments; vis_backends and save_dir are accepted and ignored.

        Raises:
            InputError: another type or argument.
        """
        arguments = dict(cfg)
        kind = arguments.pop("type", "PoseLocalVisualizer")
        if kind != "PoseLocalVisualizer":
            raise InputError(f"the only visualizer is PoseLocalVisualizer, found '{kind}'")
        known = ("name", "radius", "line_width", "alpha")
        for name in arguments:
            if name not in (*known, "vis_backends", "save_dir"):
                raise InputError(f"unknown argument '{name}' of a visualizer; it has {known}")
        return PoseLocalVisualizer(**{k: v for k, v in arguments.items() if k in known})


VISUALIZERS = _Visualizers()


def imread(
    img_or_path: str | Path | np.ndarray, *, channel_order: Literal["bgr", "rgb"] = "bgr"
) -> np.ndarray:
    """An image (H, W, 3), uint8.

    Args:
        img_or_path: path or URL; an array is taken as it is, grey and 16-bit ones are converted.
        channel_order: "bgr" or "rgb", for what is read.

    Raises:
        InputError: no such file, not an image, another channel_order.
    """
    if channel_order not in ("bgr", "rgb"):
        raise InputError(f"channel_order must be 'bgr' or 'rgb', found {channel_order!r}")
    if isinstance(img_or_path, np.ndarray):
        return to_bgr(img_or_path)
    if not isinstance(img_or_path, str | os.PathLike):
        raise InputError(
            f"an image must be a path, a URL or an array, found {type(img_or_path).__name__}"
        )
    with read_frames(img_or_path) as frames:
        frame, *more = itertools.islice(frames, 2)
    if more or frame.clip is not None:
        raise InputError(f"expected one image, found {img_or_path}; MMPoseInferencer takes more")
    return frame.image if channel_order == "bgr" else np.ascontiguousarray(frame.image[..., ::-1])


def dataset_meta(skeleton: Skeleton) -> dict[str, Any]:
    """What MMPose calls a model's `dataset_meta`, of the same names and types."""
    flips = enumerate(skeleton.flip_indices)
    return {
        "dataset_name": skeleton.name,
        "num_keypoints": skeleton.num_keypoints,
        "keypoint_id2name": dict(enumerate(skeleton.names)),
        "keypoint_name2id": {name: i for i, name in enumerate(skeleton.names)},
        "upper_body_ids": list(skeleton.upper_body_ids),
        "lower_body_ids": list(skeleton.lower_body_ids),
        "flip_indices": list(skeleton.flip_indices),
        "flip_pairs": [[skeleton.names[i], skeleton.names[j]] for i, j in flips if i < j],
        "keypoint_colors": np.array(skeleton.keypoint_colors, np.uint8).reshape(-1, 3),
        "num_skeleton_links": len(skeleton.links),
        "skeleton_links": list(skeleton.links),
        "skeleton_link_colors": np.array(skeleton.link_colors, np.uint8).reshape(-1, 3),
        "sigmas": np.array(skeleton.sigmas, np.float32),
    }


def _skeleton(metainfo: Any, count: int | None) -> Skeleton:
    """The skeleton of whatever `visualize` takes for `metainfo`."""
    if metainfo is None:
        if count not in SKELETON_OF_COUNT:
            raise InputError(
                f"no skeleton is known for {count} keypoints: pass metainfo, such as 'coco'"
            )
        return load_skeleton(SKELETON_OF_COUNT[count])
    if isinstance(metainfo, str | os.PathLike):
        text = os.fspath(metainfo)
        return load_skeleton(PureWindowsPath(text).stem if text.endswith(".py") else text)
    if not isinstance(metainfo, Mapping):
        raise InputError(
            f"metainfo must be a skeleton's name or a dict, found {type(metainfo).__name__}"
        )
    return _skeleton_of_meta(metainfo)


def _skeleton_of_meta(meta: Mapping[str, Any]) -> Skeleton:
    """The inverse of `dataset_meta`, of whatever colours and links the caller gave it."""
    if "keypoint_id2name" not in meta:
        raise InputError(
            "metainfo must have keypoint_id2name, as the dataset_meta of a model; "
            f"found the keys {sorted(map(str, meta))}"
        )
    by_id = {int(i): str(name) for i, name in meta["keypoint_id2name"].items()}
    names = tuple(by_id[i] for i in sorted(by_id))
    links = tuple((int(a), int(b)) for a, b in meta.get("skeleton_links", ()))
    name = str(meta.get("dataset_name", "metainfo"))
    known = load_skeleton(name) if name in skeleton_names() else None
    return Skeleton(
        name=name,
        names=names,
        flip_indices=tuple(int(i) for i in meta.get("flip_indices", range(len(names)))),
        links=links,
        link_colors=_colors(meta.get("skeleton_link_colors"), len(links)),
        keypoint_colors=_colors(meta.get("keypoint_colors"), len(names)),
        sigmas=tuple(float(sigma) for sigma in meta.get("sigmas", ())),
        openpose=known.openpose if known is not None and known.names == names else None,
    )


def _colors(colors: Any, count: int) -> tuple[tuple[int, int, int], ...]:
    if colors is None:
        return ((0, 255, 0),) * count
    return tuple((int(r), int(g), int(b)) for r, g, b in colors)


def _draw_heatmap(image: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    drawing = draw_heatmap(np.ascontiguousarray(image[..., ::-1]), heatmaps)
    return np.ascontiguousarray(drawing[..., ::-1])


def _write_indices(
    drawing: np.ndarray, keypoints: np.ndarray, shown: np.ndarray, radius: int
) -> None:
    height, width = drawing.shape[:2]
    for person, visible in zip(keypoints, shown, strict=True):
        for i, (x, y) in enumerate(person):
            if visible[i] and 0 <= x < width and 0 <= y < height:
                place = (int(x) + radius, int(y) - radius)
                cv2.putText(drawing, str(i), place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255))


def _write_image(path: Path, image: np.ndarray) -> None:
    """RGB, in the format of the suffix."""
    try:
        done, data = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1]))
        if not done:
            raise InputError(f"cannot write an image as {path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except cv2.error:
        raise InputError(f"cannot write {path.name}: end it with .jpg or .png") from None
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
