"""MMPose's visualizer and `visualize` over `posekit.drawing`: RGB in and out, no registry."""

from __future__ import annotations

import copy
import inspect
import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from posekit.drawing.colors import COLORS, is_rgb, parse_color
from posekit.drawing.overlay import Style, draw_heatmap, draw_pose
from posekit.drawing.window import show_image
from posekit.errors import InputError
from posekit.io import read_frames, to_bgr
from posekit.metainfo import (
    dataset_meta,
    guess_skeleton,
    known_skeleton,
    parse_pose_metainfo,
)
from posekit.mmpose.elements import as_array
from posekit.mmpose.instances import InstanceData
from posekit.mmpose.structures import PoseDataSample, revert_heatmap
from posekit.skeleton import Color, Skeleton

__all__ = ["VISUALIZERS", "PoseLocalVisualizer", "dataset_meta", "imread", "visualize"]

# What a visualizer has where nothing says what the keypoints are.
PLAIN_DOT = "red"


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
            config (looked up by its stem, not read), the `dataset_info` of such a config, or a
            `dataset_meta`; None leaves it to the visualizer, which goes by K where it was told
            nothing.
        visualizer: draws with its sizes and colours, and has the drawing afterwards.
        show_kpt_idx: write the number beside each keypoint.
        skeleton_style: "mmpose" or "openpose".
        show: open a window.
        kpt_thr: keypoints of a lower score are not drawn.

    Returns:
        The drawing (H, W, 3), RGB, uint8.

    Raises:
        InputError: shapes that do not fit, an unknown skeleton, no display to show on.
    """
    points = as_array(keypoints, np.float64)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[2] < 2:
        raise InputError(f"keypoints must be (n, K, 2), found {points.shape}")
    points, count = points[..., :2], points.shape[1]
    scores = np.ones(points.shape[:2]) if keypoint_score is None else as_array(keypoint_score)
    scores = scores[None] if scores.ndim == 1 else scores
    drawer = PoseLocalVisualizer() if visualizer is None else copy.copy(visualizer)  # own metainfo
    if metainfo is not None:
        drawer.set_dataset_meta(metainfo)
        if (named := (drawer.dataset_meta or {}).get("num_keypoints", count)) != count:
            raise InputError(f"metainfo has {named} keypoints, found {count} in the pose")
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
    if visualizer is not None:
        visualizer.set_image(drawer.get_image())
    return drawer.get_image()


class PoseLocalVisualizer:
    """Draws data samples; images go in and come out as RGB.

    Every argument is an attribute too, and may be changed at any time. A colour is a name (`red`,
    `green`, ...), one of matplotlib's letters (`r`), `#rrggbb`, three numbers (RGB, 0 to 255), or
    None, which draws nothing. "auto" stands for the skeleton's own colours: those that
    `set_dataset_meta` was given, else those of the skeleton with as many keypoints, else red dots
    without links.

    Args:
        name: the title of its window.
        image: (H, W, 3), RGB, what `get_image` gives before anything is drawn.
        vis_backends, save_dir, backend: accepted and ignored.
        bbox_color: of the boxes.
        kpt_color: of the keypoints: one colour, one for each of the K, or "auto".
        link_color: of the links: one colour, one for each of the L, or "auto".
        text_color: of labels and numbers on boxes.
        skeleton: the links, L pairs of keypoint indices; None for those of the skeleton.
        line_width: of links and boxes, in pixels.
        radius: of a keypoint's dot, in pixels; a fraction is cut off.
        show_keypoint_weight: the lower a keypoint's score, the fainter its dot.
        alpha: opacity of the dots, 0 to 1; links and boxes are opaque, as the reference's.
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: np.ndarray | None = None,
        vis_backends: Any = None,
        save_dir: Any = None,
        bbox_color: Any = "green",
        kpt_color: Any = "auto",
        link_color: Any = "auto",
        text_color: Any = (255, 255, 255),
        skeleton: Sequence[Sequence[int]] | None = None,
        line_width: int = 1,
        radius: float = 3,
        show_keypoint_weight: bool = False,
        backend: str = "opencv",
        alpha: float = 1.0,
    ) -> None:
        self.name = name
        self.bbox_color = bbox_color
        self.kpt_color = kpt_color
        self.link_color = link_color
        self.text_color = text_color
        self.skeleton = skeleton
        self.line_width = line_width
        self.radius = radius
        self.show_keypoint_weight = show_keypoint_weight
        self.alpha = alpha
        self.dataset_meta: dict[str, Any] | None = {}
        self.skeleton_style: Style = "mmpose"
        self._image: np.ndarray | None = None if image is None else image.copy()

    def set_dataset_meta(
        self,
        dataset_meta: Mapping[str, Any] | str | Path | None,
        skeleton_style: Style = "mmpose",
    ) -> None:
        """Says what the keypoints are; see `visualize` for what it may be.

        Its links and colours take the place of the visualizer's; None and {} have none.
        """
        meta = {} if dataset_meta in (None, {}) else parse_pose_metainfo(dataset_meta)
        self.dataset_meta = meta
        self.bbox_color = meta.get("bbox_color", self.bbox_color)
        self.kpt_color = meta.get("keypoint_colors", self.kpt_color)
        self.link_color = meta.get("skeleton_link_colors", self.link_color)
        self.skeleton = meta.get("skeleton_links", self.skeleton)
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
            raise InputError("nothing has been drawn yet; call add_datasample first")
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
    ) -> np.ndarray:
        """Draws a sample, and gives the drawing (H, W, 3), RGB, as `get_image` does.

        Args:
            name: the window's title.
            image: (H, W, 3), RGB, uint8; is not changed.
            data_sample: whose instances are drawn, with the `dataset_meta` that was set.
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
        if draw_heatmap and "heatmaps" in data_sample.get("pred_fields", ()):
            heat = _draw_heatmap(image, data_sample)
            drawing = np.concatenate([drawing, np.concatenate([heat] * max(1, len(halves)), 1)])
        self.set_image(drawing)
        if out_file is not None:
            _write_image(Path(out_file), drawing)
        if show:
            self.show(win_name=name, wait_time=wait_time)
        return self.get_image()

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
        keypoints = as_array(instances.keypoints)[..., :2]
        # The reference goes by the first of these.
        scores = instances.get("keypoints_visible", instances.get("keypoint_scores"))
        scores = np.ones(keypoints.shape[:2]) if scores is None else as_array(scores)
        look = self._skeleton(keypoints.shape[1])
        dots = self._colors("kpt_color", self._own(look, "keypoint_colors"), look.num_keypoints)
        box_color = parse_color("bbox_color", self.bbox_color)
        boxes = instances.get("bboxes") if draw_bbox and box_color is not None else None
        opacity = np.array([color is not None for color in dots]) * self.alpha
        if self.show_keypoint_weight:
            opacity = opacity * np.clip(scores, 0, 1)
        # The reference cuts a fraction off.
        radius = int(self.radius) if isinstance(self.radius, float) else self.radius
        drawing = draw_pose(
            np.ascontiguousarray(image[..., ::-1]),
            keypoints,
            scores,
            look if style == "openpose" else self._colored(look, dots),
            boxes=None if boxes is None else as_array(boxes)[:, :4],
            radius=radius,
            thickness=self.line_width,
            kpt_thr=kpt_thr,
            style=style,
            draw_bbox=boxes is not None,
            box_color=box_color,
            dot_opacity=self.alpha if style == "openpose" else opacity,
        )
        drawing = np.ascontiguousarray(drawing[..., ::-1])
        if show_kpt_idx and style == "mmpose":
            self._write_indices(drawing, keypoints, scores >= kpt_thr, dots, radius)
        if boxes is not None and "labels" in instances and self.text_color is not None:
            self._write_labels(drawing, as_array(boxes), instances.labels, box_color)
        return drawing

    def _skeleton(self, count: int) -> Skeleton:
        """The names and links of what is drawn; links and colours that were set come later."""
        meta = self.dataset_meta or {}
        known = known_skeleton(meta) if meta else guess_skeleton(count)
        if known is not None and known.num_keypoints == count:
            return known
        names = list(meta.get("keypoint_id2name", {}).values())
        if len(names) != count:
            names = [str(i) for i in range(count)]
        return Skeleton(
            name=str(meta.get("dataset_name", "metainfo")),
            names=tuple(map(str, names)),
            flip_indices=tuple(range(count)),
            links=(),
            link_colors=(),
            keypoint_colors=(COLORS[PLAIN_DOT],) * count,
        )

    def _own(self, look: Skeleton, field: Literal["keypoint_colors", "link_colors"]) -> Any:
        """The colours that "auto" means: a dataset's meta without colours has none."""
        return None if self.dataset_meta else getattr(look, field) or None

    def _colored(self, look: Skeleton, dots: list[Color | None]) -> Skeleton:
        """The skeleton with the links and colours that were set, without links of no colour."""
        links, own = look.links, self._own(look, "link_colors")
        if self.skeleton is not None or self.dataset_meta:
            links = _links(self.skeleton)
            own = own if links == look.links else None
        colors = self._colors("link_color", own, len(links))
        drawn = [(link, c) for link, c in zip(links, colors, strict=True) if c is not None]
        return Skeleton(
            name=look.name,
            names=look.names,
            flip_indices=look.flip_indices,
            links=tuple(link for link, _ in drawn),
            link_colors=tuple(color for _, color in drawn),
            keypoint_colors=tuple(color or (0, 0, 0) for color in dots),
        )

    def _colors(
        self, name: Literal["kpt_color", "link_color"], own: Any, count: int
    ) -> list[Color | None]:
        """A colour for each of the keypoints or links; None for one that is not drawn."""
        value = getattr(self, name)
        if isinstance(value, str) and value == "auto":
            value = (PLAIN_DOT if name == "kpt_color" else None) if own is None else own
        if isinstance(value, str) or is_rgb(value) or not isinstance(value, Collection):
            return [parse_color(name, value)] * count
        if len(value) != count:
            things = "keypoints" if name == "kpt_color" else "links"
            raise InputError(
                f"{name} must have {count} colours, one for each of the {things}, "
                f"found {len(value)}"
            )
        return [parse_color(name, one) for one in value]

    def _write_indices(
        self,
        drawing: np.ndarray,
        keypoints: np.ndarray,
        shown: np.ndarray,
        colors: list[Color | None],
        radius: int,
    ) -> None:
        height, width = drawing.shape[:2]
        for person, visible in zip(keypoints, shown, strict=True):
            for i, (x, y) in enumerate(person):
                color = colors[i]
                if visible[i] and color is not None and 0 <= x < width and 0 <= y < height:
                    place = (int(x) + radius, int(y) - radius)
                    _write_text(drawing, str(i), place, color, radius * 3, centered=True)

    def _write_labels(
        self, drawing: np.ndarray, boxes: np.ndarray, labels: Any, background: Color | None
    ) -> None:
        """The class of each box above its left corner; smaller boxes have smaller letters."""
        classes = (self.dataset_meta or {}).get("classes")
        color = parse_color("text_color", self.text_color) or (255, 255, 255)
        areas = (boxes[:, 3] - boxes[:, 1]) * (boxes[:, 2] - boxes[:, 0])
        scales = np.clip(0.5 + (areas - 800) / (30000 - 800), 0.5, 1.0)
        for box, label, scale in zip(boxes, labels, scales, strict=True):
            text = f"class {label}" if classes is None else str(classes[int(label)])
            place = (int(box[0]), int(box[1]))
            _write_text(drawing, text, place, color, int(13 * scale), background=background)


class _Visualizers:
    """Where MMPose has a registry, posekit has one class."""

    @staticmethod
    def build(cfg: Mapping[str, Any]) -> PoseLocalVisualizer:
        """The visualizer of a configuration, such as `model.cfg.visualizer`.

        Args:
            cfg: `type` is `PoseLocalVisualizer`; the rest are its arguments.

        Raises:
            InputError: another type or argument.
        """
        if not isinstance(cfg, Mapping):
            raise InputError(f"a visualizer's configuration is a dict, found {type(cfg).__name__}")
        arguments = dict(cfg)
        kind = arguments.pop("type", "PoseLocalVisualizer")
        if kind != "PoseLocalVisualizer":
            raise InputError(
                f"the only visualizer is PoseLocalVisualizer, found '{kind}'; "
                "MMPoseInferencer draws in 3D"
            )
        known = list(inspect.signature(PoseLocalVisualizer).parameters)
        for name in arguments:
            if name not in known:
                raise InputError(f"unknown argument '{name}' of a visualizer; it has {known}")
        return PoseLocalVisualizer(**arguments)


VISUALIZERS = _Visualizers()


def imread(
    img_or_path: str | Path | np.ndarray, *, channel_order: Literal["bgr", "rgb"] = "bgr"
) -> np.ndarray:
    """Reads an image as (H, W, 3), uint8.

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


def _links(skeleton: Any) -> tuple[tuple[int, int], ...]:
    try:
        return tuple((int(a), int(b)) for a, b in (() if skeleton is None else skeleton))
    except (TypeError, ValueError):
        raise InputError(
            f"skeleton must be pairs of keypoint indices, found {skeleton!r}"
        ) from None


def _draw_heatmap(image: np.ndarray, sample: PoseDataSample) -> np.ndarray:
    """The sample's maps over an image, RGB; those of a crop are laid where the crop is."""
    heatmaps = as_array(sample.pred_fields.heatmaps)
    if heatmaps.shape[-2:] != image.shape[:2] and "input_center" in sample:
        heatmaps = revert_heatmap(
            heatmaps, sample.input_center, sample.input_scale, image.shape[:2]
        )
    drawing = draw_heatmap(np.ascontiguousarray(image[..., ::-1]), heatmaps)
    return np.ascontiguousarray(drawing[..., ::-1])


def _write_text(
    drawing: np.ndarray,
    text: str,
    place: tuple[int, int],
    color: Color,
    font_size: int,
    *,
    centered: bool = False,
    background: Color | None = None,
) -> None:
    """Text on a drawing, RGB, with its lower edge at a place; the sizes are the reference's."""
    scale, thickness = max(0.1, font_size / 30), max(1, font_size // 15)
    (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thickness)
    x, y = place
    if centered:
        x = max(0, x - width // 2)
    if background is not None:
        y -= baseline // 2
        corners = ((x, y - height - baseline // 2), (x + width, y + baseline // 2))
        cv2.rectangle(drawing, *corners, background, cv2.FILLED)
    # The reference asks for one less; OpenCV takes 0 as 1.
    pen = max(1, thickness - 1)
    cv2.putText(drawing, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, color, pen)


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
