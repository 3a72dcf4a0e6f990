"""Images and videos in, poses out: frames -> boxes -> keypoints -> tracks -> 3D, as a stream."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from posekit.backends import check_backend
from posekit.build import select_device
from posekit.config import Located, choose_parts, find_checkpoint
from posekit.drawing.overlay import draw_heatmap, draw_pose
from posekit.drawing.plot3d import MAX_PLOT, MIN_PLOT, Limits, beside, draw_pose3d, fit_limits
from posekit.drawing.window import Window
from posekit.errors import InputError
from posekit.io import (
    Clip,
    Frame,
    Order,
    PictureReader,
    input_files,
    is_webcam,
    open_clip,
    read_frames,
)
from posekit.io.video import VideoReader
from posekit.io.write import ResultWriter
from posekit.options import PredictOptions
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, LifterSpec, PoseSpec, Spec, load_spec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator, Poses
from posekit.stages.hand3d import HandEstimator
from posekit.stages.lift import Lifter, check_liftable, lift_stream
from posekit.stages.smooth import smooth_one_euro, smooth_savgol
from posekit.stages.track import Tracker
from posekit.transforms.device import place_images
from posekit.transforms.nms import nearby_joints_nms
from posekit.weights.hub import named_here
from posekit.weights.load import load_network

__all__ = ["Part", "Predictor", "load"]

log = logging.getLogger(__name__)


def load(
    name: str,
    *,
    weights: str | Path | None = None,
    pose2d: str | None = None,
    pose2d_weights: str | Path | None = None,
    detector: str | None = None,
    detector_weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    backend: str | None = None,
    config_dir: str | Path | None = None,
    trust: bool = False,
) -> Predictor:
    """A predictor with its networks, ready for images and videos.

    Args:
        name: a model's public name, alias, official config name or path of such a config; or the
            folder of a trained model, as `posekit train` writes it.
        weights: a local file in any layout that `weights_convert` reads, a folder that holds one,
            a graph that `posekit export` wrote, or a URL; None takes the published ones, from the
            local cache where they are there.
        pose2d: for a model that lifts 2D poses to 3D, the one that finds these; None takes the
            lifter's own.
        pose2d_weights: as `weights`, for `pose2d`.
        detector: a detector's name, or "none" or "whole_image" for none; None takes the model's
            own, whose weights are fetched when the first image without `bboxes=` comes.
        detector_weights: as `weights`, for the detector.
        device: "cpu", "cuda", "cuda:1", "mps"; None takes the best there is.
        dtype: of the networks, such as torch.float16 or "bfloat16"; None for float32.
        backend: what runs all networks but a lifter: "torch", "compile", "onnxruntime",
            "openvino", "tensorrt", or "auto" for the fastest on this machine, which is measured
            once; None for PyTorch without changes, or for a graph what `auto` would take.
        config_dir: a folder with `model/`, `detector/` and `keypoints/` of your own, which is
            looked into before the packaged ones.
        trust: build classes that are not posekit's of a model's folder, which run code. Those of
            `config_dir` are your own and need no such word.

    Raises:
        UnknownModelError: no such model or detector.
        WeightsError: weights that do not fit, or a damaged file.
        DownloadError: no source gave the weights.
        InputError: a configuration that does not describe a model, or a device, a type or a
            backend that cannot be used here.
    """
    parts = choose_parts(
        name,
        pose2d=pose2d,
        detector=detector,
        search=() if config_dir is None else (Path(config_dir),),
    )
    if parts.lifter is None and pose2d_weights is not None:
        raise InputError("pose2d_weights apply to models that lift 2D poses; use weights")
    if parts.detector is None and detector_weights is not None:
        raise InputError("detector_weights are given, but no detector to load them into")

    def part(found: Located, given: str | Path | None, key: str) -> Part:
        spec = load_spec(found.name, found.search, trust=trust or not found.is_foreign)
        return Part(spec, given or found.weights, named_here(key))

    of_model = weights if parts.lifter is None else pose2d_weights
    return Predictor.from_parts(
        part(parts.model, of_model, "weights=" if parts.lifter is None else "pose2d_weights="),
        detector=parts.detector and part(parts.detector, detector_weights, "detector_weights="),
        lifter=parts.lifter and part(parts.lifter, weights, "weights="),
        lazy_detector=detector is None and detector_weights is None,
        device=device,
        dtype=dtype,
        backend=backend,
        search=(parts.detector or parts.model).search,
    )


class Part(NamedTuple):
    """One network of a predictor, not loaded yet.

    Attributes:
        spec: its description.
        weights: file or URL; None for the published ones.
        key: how the user gives them, as errors name it.
    """

    spec: Spec
    weights: str | Path | None = None
    key: str = "weights="


def _licenses(parts: Iterable[Part]) -> dict[str, str]:
    """Of published weights; nothing is known of a user's own."""
    published = (part.spec.name for part in parts if part.weights in (None, "published"))
    rows = filter(None, map(find_checkpoint, published))
    return {row.name: row.license for row in rows}


class Predictor:
    """Finds poses in images and videos. `posekit.load` makes one.

    Calling it gives MMPose's documented dict per image; `stream` gives a typed `PoseResult`.

    Args:
        estimator: boxes -> keypoints.
        detector: images -> boxes, or a function that makes it when it is first needed; None takes
            each image as one box.
        lifter: 2D keypoints over time -> 3D ones.
        det_cat_ids: the detector's classes that the model is for.

    Attributes:
        licenses: of the published weights that it uses, by their models' names; of others, which
            were given as `weights=`, nothing is known.
    """

    def __init__(
        self,
        estimator: PoseEstimator | HandEstimator,
        detector: Detector | Callable[[], Detector] | None = None,
        *,
        lifter: Lifter | None = None,
        det_cat_ids: Sequence[int] = (0,),
    ) -> None:
        self.estimator = estimator
        self.lifter = lifter
        self.det_cat_ids = tuple(det_cat_ids)
        # Model -> licence of its weights, of those that are the published ones.
        self.licenses: dict[str, str] = {}
        self._detector = detector
        self._loading = threading.Lock()  # one thread loads the detector
        self._process = os.getpid()
        self._remake: Callable[[], Predictor] | None = None

    def __reduce__(self) -> tuple[Callable[[], Predictor], tuple[()]]:
        """Pickled it is a few names: the process that unpickles it loads the networks."""
        if self._remake is None:
            raise TypeError(
                "only what posekit.load made can be pickled: networks stay where they are"
            )
        return self._remake, ()

    @classmethod
    def from_parts(
        cls,
        model: Part,
        *,
        detector: Part | None = None,
        lifter: Part | None = None,
        lazy_detector: bool = False,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        backend: str | None = None,
        search: Sequence[Path] = (),
    ) -> Predictor:
        """A predictor of composed configurations; see `load` for what is not told here.

        Args:
            model: the 2D pose model, or one that gives 3D poses from the image itself.
            detector: None takes each image as one box.
            lifter: makes 3D poses of the model's.
            lazy_detector: load the detector when it is first needed.
            search: folders of configurations that come before the packaged ones.
        """
        place = select_device(device)
        number = _floating_type(dtype)
        # All that can be checked without weights comes first: weights may take long.
        if backend is not None:
            check_backend(backend, place, number)
        spec = model.spec
        if not isinstance(spec, PoseSpec):
            raise InputError(f"expected a 2D pose model, found {spec.name}")
        skeleton = load_skeleton(spec.keypoints, search=search)

        def loaded(part: Part) -> torch.nn.Module:
            spec, weights, key = part
            return load_network(spec, weights, search=search, key=key, device=place, dtype=number)

        find: Callable[[], Detector] | None = None
        if detector is not None:
            part, of_detector = detector, detector.spec
            if not isinstance(of_detector, DetectorSpec):
                raise InputError(f"{of_detector.name} is not a detector")

            def find() -> Detector:
                return Detector(loaded(part), of_detector, backend=backend)

        lift = None
        if lifter is not None:
            check_liftable(skeleton)
            if not isinstance(lifter.spec, LifterSpec):
                raise InputError(f"{lifter.spec.name} does not lift 2D poses")
            lifted = load_skeleton(lifter.spec.keypoints, search=search)
            lift = Lifter(loaded(lifter), lifter.spec, lifted)
        net = loaded(model)
        if spec.note is not None:
            log.warning("%s %s", spec.name, spec.note)
        kind = HandEstimator if spec.keypoints_3d else PoseEstimator
        predictor = cls(
            kind(net, spec, skeleton, backend=backend),
            find if find is None or lazy_detector else find(),
            lifter=lift,
            det_cat_ids=spec.detector_categories,
        )
        predictor.licenses = _licenses(filter(None, (model, detector, lifter)))
        predictor._remake = functools.partial(
            cls.from_parts,
            model,
            detector=detector,
            lifter=lifter,
            lazy_detector=lazy_detector,
            device=device,
            dtype=dtype,
            backend=backend,
            search=search,
        )
        return predictor

    @property
    def detector(self) -> Detector | None:
        """The detector, loaded on first use; None where the whole image is the box."""
        with self._loading:
            if self._detector is not None and not isinstance(self._detector, Detector):
                self._detector = self._detector()
            return self._detector

    @property
    def _has_heatmaps(self) -> bool:
        return isinstance(self.estimator, PoseEstimator) and self.estimator.heatmap_size is not None

    def __call__(self, inputs: Any, **options: Any) -> Iterator[dict[str, list[Any]]]:
        """MMPose's documented dict of each image or frame, lazily.

        Args:
            inputs: the path or URL of an image or a video, a folder, a glob, "webcam",
                "webcam:1", the URL of a stream, an image (H, W, 3), BGR, uint8, or an iterable
                of these.
            options: see `PredictOptions`.

        Raises:
            InputError: an unknown option or a folder that cannot be written, at once; an input
                that cannot be read, when its turn comes.
            OutputError: a result cannot be written.
        """
        return (result.to_mmpose() for result in self.stream(inputs, **options))

    def stream(self, inputs: Any, **options: Any) -> Iterator[PoseResult]:
        """As a call of the predictor, as typed results.

        The files of an image are there when its result is. Those of a video grow with it, and are
        closed when the stream has ended or was left.
        """
        if os.getpid() != self._process and torch.get_num_threads() > 1:
            raise InputError(
                "this predictor was loaded before its process was forked, and PyTorch's threads "
                "did not come along: load it in this process, or start processes by spawning"
            )
        chosen = PredictOptions.from_keywords(options)
        chosen.check_applies(
            pose3d=self.lifter is not None or isinstance(self.estimator, HandEstimator),
            lifted=self.lifter is not None,
        )
        if chosen.draw_heatmap and not self._has_heatmaps:
            log.warning("draw_heatmap has no effect: this model has no heat maps")
        writer = ResultWriter(
            chosen.predictions_dir,
            chosen.visualization_dir,
            drawing_name=chosen.drawing_name,
            pred_format=chosen.pred_format,
            inputs=functools.partial(
                input_files, inputs, recursive=chosen.recursive, include=chosen.include
            ),
        )
        show = is_webcam(inputs) if chosen.show is None else chosen.show
        window = Window("posekit") if show else None
        return self._stream(inputs, chosen, writer, window)

    def _stream(
        self, inputs: Any, options: PredictOptions, writer: ResultWriter, window: Window | None
    ) -> Iterator[PoseResult]:
        with contextlib.ExitStack() as opened:
            if window is not None:
                opened.callback(window.close)
            # Left in the opposite order: the writer's last drawings need the drawer.
            drawer = opened.enter_context(_Drawer(options))
            opened.enter_context(writer)
            reader = opened.enter_context(
                read_frames(
                    inputs,
                    on_error=options.on_error,
                    recursive=options.recursive,
                    include=options.include,
                    order=self._order(options),
                )
            )
            bar = opened.enter_context(
                tqdm(unit="frame", file=sys.stderr, disable=not options.show_progress)
            )
            failure: list[InputError] = []
            under_way: collections.deque[_UnderWay] = collections.deque()
            for result in self._results(_until_error(reader, failure), options, under_way):
                source = under_way.popleft()
                draw = functools.partial(drawer.draw, source, result)
                drawing = draw() if options.return_vis or window is not None else None
                result = dataclasses.replace(result, visualization=drawing)
                writer.write(result, clip=source.clip, time=source.time, draw=draw)
                if source.clip is None:
                    writer.flush()
                bar.update()
                if window is not None and drawing is not None:
                    wait = options.wait_time if source.clip is None else None
                    if not window.show(drawing, wait):
                        return
                    if not options.return_vis:
                        result = dataclasses.replace(result, visualization=None)
                yield result
            if failure:
                # Only now: what had been read before it was still under way.
                raise failure[0]

    def _order(self, options: PredictOptions) -> Order:
        """In which order a folder's files come; see `PredictOptions.order`."""
        in_sequence = options.similarity is not None or self._lifts_in_windows(options)
        return options.order or ("natural" if in_sequence and options.bboxes is None else "name")

    def _lifts_in_windows(self, options: PredictOptions) -> bool:
        return self.lifter is not None and options.lift_window != 1

    def _results(
        self,
        frames: Iterator[Frame],
        options: PredictOptions,
        under_way: collections.deque[_UnderWay],
    ) -> Iterator[PoseResult]:
        """A result per frame, in order; what it is a result of waits in `under_way`."""
        in_windows = self._lifts_in_windows(options)
        similarity = options.similarity or ("iou" if in_windows else None)
        results = self._estimate(frames, options, similarity, under_way, keep_images=not in_windows)
        if options.smooth == "one-euro":
            results = smooth_one_euro(results, time_of=lambda _: under_way[-1].time or 0.0)
        elif options.smooth == "savgol":
            results = smooth_savgol(results)
        if self.lifter is not None:
            results = lift_stream(
                results,
                self.lifter,
                window=options.lift_window,
                # Not that of the newest frame: smoothing may hold results back.
                live=lambda result: any(
                    clip is not None and clip.live and clip.source == result.source
                    for clip, *_ in under_way
                ),
                flip_test=options.flip_test,
                disable_norm_pose_2d=options.disable_norm_pose_2d,
                disable_rebase_keypoint=options.disable_rebase_keypoint,
            )
        for result in results:
            ids_asked_for = options.track in ("iou", "oks")
            yield result if ids_asked_for else dataclasses.replace(result, track_ids=None)

    def _estimate(
        self,
        frames: Iterator[Frame],
        options: PredictOptions,
        similarity: Literal["iou", "oks"] | None,
        under_way: collections.deque[_UnderWay],
        *,
        keep_images: bool,
    ) -> Iterator[PoseResult]:
        """The 2D poses of each frame, and who is who.

        Without `keep_images`, those of a video do not stay for as long as a window is filled.
        """
        given = None if options.bboxes is None else _GivenBoxes(options.bboxes)
        tracks = None if similarity is None else _Tracks(self.estimator, similarity, options)
        # Where tracks carry boxes, a frame's depend on the poses of the one before.
        chunk_size = options.batch_size if options.det_interval == 1 else 1
        for chunk in _chunks(frames, chunk_size):
            # Once for both networks, where they are on a GPU.
            images = place_images([frame.image for frame in chunk], self.estimator.device)
            carried = tracks.carried(chunk[0]) if tracks is not None else None
            if given is not None:
                boxes = [given.of(frame.index) for frame in chunk]
            elif carried is not None:
                boxes = [carried]
            else:
                boxes = self._detect(images, options)
            poses = self._poses(images, [box[:, :4] for box in boxes], options)
            for frame, box, pose in zip(chunk, boxes, poses, strict=True):
                result = PoseResult(
                    keypoints=pose.keypoints,
                    keypoint_scores=pose.scores,
                    boxes_xyxy=box[:, :4],
                    box_scores=box[:, 4],
                    skeleton=self.estimator.skeleton,
                    image_size=_size(frame),
                    name=frame.name,
                    index=frame.index,
                    source=frame.source,
                    frame_id=frame.frame_id,
                    pose3d=pose.pose3d,
                )
                if options.pose_based_nms:
                    kept = _without_doubles(result)
                    result = result[kept]
                    if tracks is not None:
                        tracks.keep(kept)
                if tracks is not None:
                    result = tracks.named(frame, result)
                reread = not keep_images and frame.clip is not None and not frame.clip.live
                image = None if reread else frame.image
                under_way.append(_UnderWay(frame.clip, frame.time, image, pose.heatmap))
                yield result

    def _detect(
        self, images: Sequence[np.ndarray | Tensor], options: PredictOptions
    ) -> list[np.ndarray]:
        """Boxes with scores (n, 5) of each image."""
        if self.detector is None:
            return [_whole(image) for image in images]
        categories = options.det_categories or self.det_cat_ids
        last = len(self.detector.classes) - 1
        if unknown := [number for number in categories if number > last]:
            raise InputError(
                f"det_cat_ids must be from 0 to {last}, as the detector's classes are, found "
                f"{unknown}; give other numbers, or choose another detector"
            )
        found = []
        for image, detections in zip(
            images, self.detector(images, score_threshold=options.bbox_thr), strict=True
        ):
            chosen = detections.select(
                categories,
                score_threshold=options.bbox_thr,
                nms_threshold=options.nms_thr,
            )
            boxes = np.column_stack([chosen.boxes_xyxy, chosen.scores])
            if not len(boxes) and options.empty == "whole_image":
                boxes = _whole(image)
            found.append(boxes)
        return found

    def _poses(
        self,
        images: Sequence[np.ndarray | Tensor],
        boxes: list[np.ndarray],
        options: PredictOptions,
    ) -> list[Poses]:
        if isinstance(self.estimator, HandEstimator):
            return self.estimator(
                images,
                boxes,
                flip_test=options.flip_test,
                batch_size=options.pose_batch_size,
                on_ground=not options.disable_rebase_keypoint,
            )
        return self.estimator(
            images,
            boxes,
            flip_test=options.flip_test,
            batch_size=options.pose_batch_size,
            with_heatmap=options.draw_heatmap and self._has_heatmaps,
        )


class _UnderWay(NamedTuple):
    """The frame of a result that is not out yet, as far as drawing and writing need it.

    Attributes:
        clip: as the frame's.
        time: as the frame's.
        image: the frame's; None where it would be kept too long and is read once more.
        heatmap: (H, W), its heat maps, where they are drawn.
    """

    clip: Clip | None
    time: float | None
    image: np.ndarray | None
    heatmap: np.ndarray | None


def _size(frame: Frame) -> tuple[int, int]:
    """(w, h) of its image."""
    return frame.image.shape[1], frame.image.shape[0]


def _until_error(frames: Iterator[Frame], failure: list[InputError]) -> Iterator[Frame]:
    """The frames up to an error, which goes to `failure`."""
    try:
        yield from frames
    except InputError as error:
        failure.append(error)


def _chunks(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    """Lists of `size` frames; those of a camera one by one, for nothing may wait there."""
    chunk: list[Frame] = []
    for frame in frames:
        chunk.append(frame)
        if len(chunk) == size or (frame.clip is not None and frame.clip.live):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Tracks:
    """Trackers: one for all images, and a new one for each clip."""

    def __init__(
        self,
        estimator: PoseEstimator | HandEstimator,
        similarity: Literal["iou", "oks"],
        options: PredictOptions,
    ) -> None:
        self._interval = options.det_interval
        self._new = functools.partial(
            Tracker,
            similarity=similarity,
            threshold=options.tracking_thr,
            max_age=options.max_age,
            sigmas=estimator.skeleton.sigmas or None,
        )
        self._clip: Clip | None = None
        self._size: tuple[int, int] | None = None  # of the frame before
        self._tracker = self._new()
        self._somebody = False  # whom the detector found
        self._carried: np.ndarray | None = None

    def carried(self, frame: Frame) -> np.ndarray | None:
        """Boxes with scores (n, 5) from the frame before; None where the detector has its turn."""
        self._carried = None
        number = frame.index if frame.frame_id is None else frame.frame_id
        if number % self._interval == 0:
            return None
        if frame.clip is not self._clip or _size(frame) != self._size:
            return None
        boxes, scores, ids = self._tracker.carry(_size(frame))
        # Everybody lost, as behind a cut: whoever is there now is not left waiting.
        if self._somebody and not len(ids):
            return None
        self._carried = ids
        return np.column_stack([boxes, scores]).astype(np.float32)

    def keep(self, rows: np.ndarray) -> None:
        """Of the boxes carried to this frame, those that its result still has, in its order."""
        if self._carried is not None:
            self._carried = self._carried[rows]

    def named(self, frame: Frame, result: PoseResult) -> PoseResult:
        """The result with the ids of its people; carried ones that were lost are left out."""
        if frame.clip is not self._clip:
            self._clip, self._tracker = frame.clip, self._new()
        self._size = _size(frame)
        poses = (result.keypoints, result.keypoint_scores)
        if self._carried is None:
            self._somebody = len(result) > 0
            ids = self._tracker.update(result.boxes_xyxy, result.box_scores, *poses)
            return dataclasses.replace(result, track_ids=ids)
        kept = self._tracker.follow(self._carried, *poses)
        return dataclasses.replace(result, track_ids=self._carried)[kept]


class _Drawer:
    """Draws results in their order, each once.

    Images of a clip that were not kept are read once more from its file, behind the results.
    """

    def __init__(self, options: PredictOptions) -> None:
        self.options = options
        self._clip: Clip | None = None
        self._limits: Limits | None = None
        self._reader: VideoReader | PictureReader | None = None
        self._images: Iterator[tuple[np.ndarray, float]] = iter(())

    def draw(self, source: _UnderWay, result: PoseResult) -> np.ndarray:
        """The drawing (H, W, 3), BGR; heat maps go below the picture and 3D plots beside it."""
        if source.clip is None or source.clip is not self._clip:
            self.close()
            self._clip, self._limits = source.clip, None
        image = self._next_image() if source.image is None else source.image
        options = self.options
        drawing = draw_pose(
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
        if source.heatmap is not None:
            drawing = np.concatenate([drawing, draw_heatmap(image, source.heatmap)])
        if result.pose3d is None:
            return drawing
        # One scale for a whole clip, so that nobody shrinks and grows.
        self._limits = fit_limits(result.pose3d, self._limits, kpt_thr=options.kpt_thr)
        # As high as the picture, where that can be drawn; `beside` makes them so otherwise.
        cells = max(1, options.num_instances)
        height = min(max(result.image_size[1], MIN_PLOT), MAX_PLOT // cells)
        plots = draw_pose3d(
            result.pose3d,
            size_wh=(height * cells, height),
            num_instances=options.num_instances,
            limits=self._limits,
            track_ids=result.track_ids,
            kpt_thr=options.kpt_thr,
            radius=options.radius,
            thickness=options.thickness,
        )
        return beside(drawing, plots)

    def _next_image(self) -> np.ndarray:
        if self._reader is None:
            assert self._clip is not None
            # What a server gave once, it may not give again.
            download = self._clip.download
            path = Path(self._clip.source) if download is None else download.path
            self._reader = open_clip(path)
            self._images = iter(self._reader)
        return next(self._images)[0]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> _Drawer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _without_doubles(result: PoseResult) -> np.ndarray:
    """Which instances to keep: not those whose keypoints lie on a better one's."""
    return nearby_joints_nms(
        result.keypoints, result.box_scores, num_nearby=result.keypoints.shape[1] // 3
    )


class _GivenBoxes:
    """The option `bboxes`, as (n, 5) of each image."""

    def __init__(self, bboxes: Any) -> None:
        # Of one image, or of each.
        self.per_image = [bboxes] if _depth(bboxes) <= 2 else bboxes

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
        if boxes.ndim and boxes.size:
            boxes = boxes.reshape(-1, boxes.shape[-1])
        elif not boxes.size:
            boxes = np.zeros((0, 4), np.float32)
        if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
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
    if isinstance(nested, np.ndarray | Tensor):
        # An object array holds one array per image.
        return nested.ndim if nested.dtype != object else 1 + max(map(_depth, nested), default=1)
    if isinstance(nested, Sequence) and not isinstance(nested, str):
        return 1 + max(map(_depth, nested), default=1)
    return 0


def _whole(image: np.ndarray | Tensor) -> np.ndarray:
    height, width = image.shape[:2]
    return np.array([[0, 0, width, height, 1]], np.float32)


def _floating_type(dtype: str | torch.dtype | None) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is None:
        return torch.float32
    if found not in (torch.float32, torch.float16, torch.bfloat16):
        raise InputError(f"dtype must be float32, float16 or bfloat16, found {dtype!r}")
    return found
