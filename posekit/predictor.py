"""The predictor, images and videos to poses: frames -> boxes -> keypoints -> tracks -> 3D."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from posekit.backends import DEFAULT, check_backend, network_dtype
from posekit.backends.files import GraphFile
from posekit.build import floating_type, select_device
from posekit.declared import document, takes
from posekit.drawing.delivery import deliver
from posekit.drawing.drawer import Drawer
from posekit.drawing.window import Window
from posekit.errors import InputError
from posekit.finding import PoseFinder, has_heatmaps
from posekit.io import Inputs, Order, read_frames
from posekit.io.listing import OnError
from posekit.io.sinks import Run
from posekit.io.write import ResultWriter
from posekit.loading import LoadOptions, Speed
from posekit.options import PredictOptions
from posekit.parts import Part, Parts, find_parts
from posekit.result import PoseResult
from posekit.skeleton import Skeleton, load_skeleton
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec
from posekit.stages.boxes import GivenBoxes
from posekit.stages.camera3d import CameraEstimator
from posekit.stages.detect import Detector
from posekit.stages.estimator_3d import Estimator3D
from posekit.stages.estimators import Estimator, make_estimator
from posekit.stages.hand3d import HandEstimator
from posekit.stages.lift import Lifter, check_liftable
from posekit.stages.one_stage import OneStageEstimator
from posekit.stages.packet import AUTO_SIZE, Frame, Packet, until_error
from posekit.stages.smoothing import smoothed
from posekit.stages.windows import lift_stream
from posekit.weights.digests import WeightDigests
from posekit.weights.load import load_network

__all__ = ["Predictor", "load"]

log = logging.getLogger(__name__)


@document(LoadOptions)
def load(
    name: str | os.PathLike[str],
    *,
    weights: str | Path | None = None,
    pose2d: str | None = None,
    pose2d_weights: str | Path | None = None,
    detector: str | None = None,
    detector_weights: str | Path | None = None,
    speed: Speed = "balanced",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    backend: str | None = None,
    config_dir: str | Path | None = None,
    trust: bool = False,
) -> Predictor:
    """Loads a model with its detector and returns a predictor for images and videos.

    Args:
        name: a model's public name, alias, official config name or path of such a config; the
            folder of a trained model, as `posekit train` writes it; or a model of the Hugging Face
            Hub, `hf://organisation/name@revision`.
        pose2d: the 2D model of a lifter, which lifts 2D poses to 3D; None uses the lifter's own.
        detector: a detector's name, or "none" or "whole_image" for no detector; None uses the
            model's own, downloaded at the first image without `bboxes=`.
        config_dir: a folder with your own `model/`, `detector/` and `keypoints/`, searched before
            the packaged ones.
        {options}

    Raises:
        UnknownModelError: no such model or detector.
        WeightsError: weights do not fit, or the file is damaged.
        DownloadError: the weights cannot be downloaded.
        InputError: the configuration does not describe a model, an unknown speed, or a device,
            dtype or backend that cannot be used here.
    """
    parts = find_parts(
        name,
        weights=weights,
        pose2d=pose2d,
        pose2d_weights=pose2d_weights,
        detector=detector,
        detector_weights=detector_weights,
        config_dir=config_dir,
        trust=trust,
    )
    return Predictor.from_parts(
        parts,
        lazy_detector=detector is None and detector_weights is None,
        speed=speed,
        device=device,
        dtype=dtype,
        backend=backend,
    )


class Predictor:
    """Finds poses in images and videos. `posekit.load` makes one.

    Calling it gives MMPose's documented dict per image; `stream` gives a typed `PoseResult`.

    Args:
        estimator: boxes -> keypoints, or images -> people with their keypoints.
        detector: images -> boxes, or a function that makes it on first use; None uses each image
            as one box.
        lifter: 2D keypoints over time -> 3D keypoints.
        det_cat_ids: the detector's classes that the model is for.
        speed: the default of `flip_test` and `det_interval` in each call; see `posekit.load`.

    Attributes:
        licenses: licences of the published weights in use, by model name; those of weights given
            as `weights=` are unknown.
        models: name of the "model", the "detector" and the "lifter", as far as there are any.
        weights: of each of these the file or URL of its weights, or "published".
        weights_sha256: of each that is loaded the SHA-256 of its file, the user's own or that of
            the cache, in hexadecimal digits; it is read when it is asked for.
    """

    def __init__(
        self,
        estimator: Estimator,
        detector: Detector | Callable[[], Detector] | None = None,
        *,
        lifter: Lifter | None = None,
        det_cat_ids: Sequence[int] = (0,),
        speed: Speed = "balanced",
    ) -> None:
        LoadOptions.declared()["speed"].check(speed)
        self.estimator = estimator
        self.lifter = lifter
        self.det_cat_ids = tuple(det_cat_ids)
        self.speed = speed
        # Model -> licence of its weights, of those that are the published ones.
        self.licenses: dict[str, str] = {}
        # What each part is -> its model's name, and where its weights are from.
        self.models: dict[str, str] = {}
        self.weights: dict[str, str] = {}
        self.weights_sha256: Mapping[str, str] = {}
        self._detector = detector
        self._loading = threading.Lock()  # one thread loads the detector
        self._process = os.getpid()
        self._remake: Callable[[], Predictor] | None = None

    def __reduce__(self) -> tuple[Callable[[], Predictor], tuple[()]]:
        """Pickled it is a few names: the process that unpickles it loads the networks."""
        if self._remake is None:
            raise TypeError(
                "only a predictor that posekit.load made can be pickled: it is loaded again by name"
            )
        return self._remake, ()

    @classmethod
    def from_parts(
        cls,
        parts: Parts,
        *,
        lazy_detector: bool = False,
        speed: Speed = "balanced",
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        backend: str | None = None,
    ) -> Predictor:
        """A predictor from networks that work together; see `load` for the other arguments.

        Args:
            parts: the networks, with a 2D pose model, or one that gives 3D poses from the image
                itself.
            lazy_detector: load the detector when it is first needed.
        """
        model, detector, lifter, search = parts
        place = select_device(device)
        number = network_dtype(dtype, place, backend)
        # All that can be checked without weights comes first: weights may take long.
        LoadOptions.declared()["speed"].check(speed)
        if backend is not None:
            check_backend(backend, place, number)
        spec = None if model is None else model.spec
        if model is None or not isinstance(spec, PoseSpec | OneStageSpec):
            raise InputError(f"expected a 2D pose model, found {spec and spec.name}")
        if isinstance(spec, OneStageSpec) and detector is not None:
            raise InputError(f"detector does not apply: {spec.name} finds people itself")
        skeleton = load_skeleton(spec.keypoints, search=search)
        networks = _Networks(parts, place, number, floating_type(dtype))
        find = None
        if detector is not None:
            find = _detector_maker(detector, networks, backend or DEFAULT, trimmed=speed == "fast")
        lift = None
        if lifter is not None:
            lift = _make_lifter(lifter, skeleton, networks.load, search)
        net = networks.load("model")
        if spec.note is not None:
            log.warning("%s %s", spec.name, spec.note)
        predictor = cls(
            make_estimator(net, spec, skeleton, backend or DEFAULT),
            find if find is None or lazy_detector else find(),
            lifter=lift,
            det_cat_ids=spec.detector_categories if isinstance(spec, PoseSpec) else (0,),
            speed=speed,
        )
        predictor.licenses = parts.licenses
        predictor.models, predictor.weights = parts.names, parts.sources
        predictor.weights_sha256 = networks.digests
        predictor._remake = functools.partial(
            cls.from_parts,
            parts,
            lazy_detector=lazy_detector,
            speed=speed,
            device=device,
            dtype=dtype,
            backend=backend,
        )
        return predictor

    @property
    def detector(self) -> Detector | None:
        """The detector, loaded on first use; None if the whole image is the box."""
        with self._loading:
            if self._detector is not None and not isinstance(self._detector, Detector):
                self._detector = self._detector()
            return self._detector

    def settle(self) -> None:
        """Loads the detector and prepares the engines now, so that all inputs are computed alike.

        Otherwise the first frames run in PyTorch and later ones in an engine, whose results differ
        by rounding.
        """
        for stage in (self.detector, getattr(self.estimator, "run", None)):
            if settle := getattr(stage, "settle", None):
                settle()

    @takes(PredictOptions)
    def __call__(self, inputs: Any, options: PredictOptions) -> Iterator[dict[str, list[Any]]]:
        """Yields MMPose's documented dict for each image or frame, lazily.

        Args:
            inputs: the path or URL of an image or a video, a folder, a glob, "webcam",
                "webcam:1", the URL of a stream, an image (an array (H, W, 3), a tensor, PIL's),
                the bytes of a file or an open one, or an iterable of these.
            {options}

        Raises:
            InputError: at once for an unknown option or a folder that cannot be written; when its
                turn comes for an input that cannot be read.
            OutputError: a result cannot be written.
        """
        return (result.to_mmpose() for result in self._start_stream(inputs, options))

    @takes(PredictOptions)
    def stream(self, inputs: Any, options: PredictOptions) -> Iterator[PoseResult]:
        """Yields a `PoseResult` for each image or frame, lazily.

        The files of an image are written before its result is yielded. Those of a video grow with
        it, and are closed when the stream ends or is abandoned.

        Args:
            inputs: as for a call of the predictor.
            {options}
        """
        return self._start_stream(inputs, options)

    def prepared(self, options: PredictOptions) -> PredictOptions:
        """The options, with what the predictor's `speed` says of the flip test.

        Raises:
            InputError: one has no effect here, or the process was forked off the predictor's.
        """
        if os.getpid() != self._process and torch.get_num_threads() > 1:
            raise InputError(
                "this predictor was loaded before its process was forked, which PyTorch's "
                "threads do not survive: load it in this process, or start processes by spawning"
            )
        options.check_applies(
            pose3d=self.lifter is not None
            or isinstance(self.estimator, HandEstimator | CameraEstimator),
            lifted=self.lifter is not None,
        )
        options.check_drawn(self.estimator.skeleton)
        if isinstance(self.estimator, OneStageEstimator):
            options.check_one_stage(self.estimator.spec.name)
        if options.flip_test is None and self.speed != "accurate":
            return dataclasses.replace(options, flip_test=False)
        return options

    def _start_stream(self, inputs: Any, said: PredictOptions) -> Iterator[PoseResult]:
        chosen = self.prepared(said)
        if chosen.draw_heatmap and not has_heatmaps(self.estimator):
            log.warning("draw_heatmap has no effect: this model has no heatmaps")
        looked_up = Inputs.of(
            inputs,
            recursive=chosen.recursive,
            include=chosen.include,
            order=self._order(chosen),
        )
        chosen.check_inputs(looked_up)
        if (wanted := chosen.tracked_for) is not None:
            log.warning("format %s needs track ids: using track=%s", wanted, chosen.similarity)
        writer = ResultWriter(
            chosen.predictions_dir,
            chosen.visualization_dir,
            drawing_name=chosen.drawing_name,
            formats=chosen.prediction_formats,
            inputs=looked_up.files,
            run=self._run(said, looked_up),
            crops=None if chosen.save_crops is None else Path(chosen.save_crops),
        )
        show = looked_up.is_camera if chosen.show is None else chosen.show
        window = Window("posekit") if show else None
        if chosen.batch_size == "auto" and (show or looked_up.may_wait):
            chosen = dataclasses.replace(chosen, batch_size=1)
        return self._stream(looked_up, chosen, writer, window)

    def _stream(
        self, inputs: Inputs, options: PredictOptions, writer: ResultWriter, window: Window | None
    ) -> Iterator[PoseResult]:
        with contextlib.ExitStack() as opened:
            if window is not None:
                opened.callback(window.close)
            # Left in the opposite order: the writer's last drawings need the drawer.
            drawer = opened.enter_context(Drawer(options))
            opened.enter_context(writer)
            reader = opened.enter_context(
                read_frames(
                    inputs,
                    on_error=_told(options.on_error, writer),
                    color=options.color,
                    cut=options.cut,
                )
            )
            bar = opened.enter_context(
                tqdm(unit="frame", file=sys.stderr, disable=not options.show_progress)
            )
            failure: list[InputError] = []
            frames: Iterator[Frame] = reader
            if options.bboxes is not None:
                frames = GivenBoxes(options.bboxes).checked(reader)
            for result in deliver(
                self.packets(until_error(frames, failure), options),
                options,
                drawer=drawer,
                writer=writer,
                window=window,
                ahead=0 if options.batch_size == 1 else AUTO_SIZE,
            ):
                bar.update()
                yield result
            if failure:
                # Only now: what had been read before it was still under way.
                raise failure[0]

    def _run(self, options: PredictOptions, inputs: Inputs) -> Run:
        """What files of results say of all of them."""
        skeleton = self.estimator.skeleton
        skeleton_3d = skeleton if isinstance(self.estimator, Estimator3D) else None
        return options.run_of(
            inputs,
            skeleton=skeleton,
            skeleton_3d=skeleton_3d if self.lifter is None else self.lifter.skeleton,
            models=self.models,
            weights=self.weights,
            weights_sha256=self.weights_sha256,
            licenses=self.licenses,
        )

    def _order(self, options: PredictOptions) -> Order:
        """In which order a folder's files come; see `PredictOptions.order`."""
        in_sequence = options.similarity is not None or self._lifts_in_windows(options)
        return options.order or ("natural" if in_sequence and options.bboxes is None else "name")

    def _lifts_in_windows(self, options: PredictOptions) -> bool:
        return self.lifter is not None and options.lift_window != 1

    def packets(self, frames: Iterator[Frame], options: PredictOptions) -> Iterator[Packet]:
        """Yields a packet per frame, in order, with all that `prepared` options ask for."""
        in_windows = self._lifts_in_windows(options)
        tracked = in_windows or self._det_interval(options) != 1
        similarity = options.similarity or ("iou" if tracked else None)
        finder = PoseFinder(
            estimator=self.estimator,
            detector=lambda: self.detector,
            det_cat_ids=self.det_cat_ids,
            options=options,
        )
        packets = finder.packets(
            frames,
            similarity=similarity,
            det_interval=self._det_interval(options),
            # A Butterworth filter may wait for more frames than images fit into memory.
            keep_images=not in_windows and options.smooth != "butterworth",
        )
        packets = smoothed(packets, options)
        if self.lifter is not None:
            packets = lift_stream(
                packets,
                self.lifter,
                window=options.lift_window,
                flip_test=options.flip_test,
                disable_norm_pose_2d=options.disable_norm_pose_2d,
                disable_rebase_keypoint=options.disable_rebase_keypoint,
            )
        ids_asked_for = (
            options.has_own_tracker
            or options.track in ("iou", "oks")
            or options.tracked_for is not None
        )
        for packet in packets:
            yield packet if ids_asked_for else packet.having(track_ids=None)

    def _det_interval(self, options: PredictOptions) -> int | Literal["auto"]:
        return options.det_interval_at(self.speed, detects=self._detector is not None)


class _Networks:
    """The networks of parts, loaded when they are asked for."""

    def __init__(
        self, parts: Parts, device: torch.device, dtype: torch.dtype, own: torch.dtype
    ) -> None:
        self.digests = WeightDigests()
        self._parts, self._device = parts, device
        # A graph computes as it was written, and has inputs of the type that was named; so has a
        # lifter: nobody measured them in less.
        self._dtype, self._own = dtype, own

    def load(self, kind: str) -> torch.nn.Module:
        """That of the "model", the "detector" or the "lifter"."""
        spec, weights, key = self._parts.named[kind]
        net = load_network(
            spec,
            weights,
            search=self._parts.search,
            key=key,
            device=self._device,
            dtype=self._own if kind == "lifter" else self._dtype,
            opened=functools.partial(self.digests.add, kind, weights),
        )
        return net.to(self._own) if isinstance(net, GraphFile) else net


def _detector_maker(
    part: Part, networks: _Networks, backend: str, *, trimmed: bool
) -> Callable[[], Detector]:
    spec = part.spec
    if not isinstance(spec, DetectorSpec):
        raise InputError(f"{spec.name} is not a detector")
    return lambda: Detector(networks.load("detector"), spec, backend=backend, trimmed=trimmed)


def _told(on_error: OnError, writer: ResultWriter) -> OnError:
    """Tells the files of results too what could not be read."""
    if on_error == "raise":
        return on_error

    def tell(name: str, error: InputError) -> None:
        writer.skip(name, str(error))
        if callable(on_error):
            on_error(name, error)
        else:
            log.warning("skipped: %s", error)

    return tell


def _make_lifter(
    part: Part,
    skeleton: Skeleton,
    load: Callable[[str], torch.nn.Module],
    search: Sequence[Path],
) -> Lifter:
    check_liftable(skeleton)
    if not isinstance(part.spec, LifterSpec):
        raise InputError(f"{part.spec.name} does not lift 2D poses")
    lifted = load_skeleton(part.spec.keypoints, search=search)
    return Lifter(load("lifter"), part.spec, lifted)
