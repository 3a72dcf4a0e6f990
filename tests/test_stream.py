"""Videos through the predictor: reading, writing, tracking, 3D, and what breaks on the way."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from tqdm import TMonitor

import posekit
from posekit.errors import InputError, OutputError
from posekit.io.video import VideoWriter
from tests.networks import LAYOUTS, reference_state, save_seeded_weights
from weights_convert import convert_file

SIZE = (160, 128)  # (w, h)
MOTIONBERT = "MB_ft_h36m_global_lite"


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def lifted(rtmpose_t: Path, tmp_path_factory: pytest.TempPathFactory) -> posekit.Predictor:
    """The smallest MotionBERT above the smallest 2D model."""
    folder = tmp_path_factory.mktemp("lifter")
    torch.save(
        {"model_pos": reference_state(LAYOUTS / "motionbert" / MOTIONBERT)}, folder / "a.bin"
    )
    convert_file(folder / "a.bin", "motionbert-lite", folder / "motionbert.safetensors")
    return posekit.load(
        "motionbert-lite",
        weights=folder / "motionbert.safetensors",
        pose2d="rtmpose-t_body8-256x192",
        pose2d_weights=rtmpose_t,
        detector="whole_image",
        device="cpu",
    )


def make_video(path: Path, frames: int, size: tuple[int, int] = SIZE) -> Path:
    """Noise that changes a little from frame to frame."""
    noise = np.random.default_rng(0).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    picture = noise.repeat(8, axis=0).repeat(8, axis=1)
    with VideoWriter(path, fps=Fraction(25), size=size) as video:
        for number in range(frames):
            video.write(np.roll(picture, 2 * number, axis=1))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "noise.mp4", 12)


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]


def box(frames: int, shift: float = 0) -> list[list[list[float]]]:
    """A box that moves, of each frame."""
    return [[[10 + shift * i, 10, 90 + shift * i, 110]] for i in range(frames)]


def test_every_frame_is_a_result(small: posekit.Predictor, video: Path) -> None:
    results = list(small.stream(video, flip_test=False))
    assert [result.frame_id for result in results] == list(range(12))
    assert [result.index for result in results] == list(range(12))
    assert {result.name for result in results} == {"noise.mp4"}
    assert results[0].image_size == SIZE


def test_results_do_not_depend_on_the_batch_size(small: posekit.Predictor, video: Path) -> None:
    first, other = (list(small.stream(video, batch_size=size, flip_test=False)) for size in (1, 5))
    for result, expected in zip(other, first, strict=True):
        np.testing.assert_allclose(result.keypoint_scores, expected.keypoint_scores, atol=1e-4)


def test_out_dir_has_one_json_and_one_video(
    small: posekit.Predictor, video: Path, tmp_path: Path
) -> None:
    results = list(small.stream(video, out_dir=tmp_path, flip_test=False))
    frames = json.loads((tmp_path / "predictions" / "noise.json").read_text())
    assert [frame["frame_id"] for frame in frames] == list(range(12))
    assert frames[3]["instances"] == json.loads(json.dumps(results[3].instances()))
    with av.open(str(tmp_path / "visualization" / "noise.mp4")) as written:
        stream = written.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (*SIZE, 25)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    drawings, originals = (
        decoded(tmp_path / "visualization" / "noise.mp4"),
        decoded(video),
    )
    assert len(drawings) == 12
    differences = np.abs(drawings[5].astype(int) - originals[5]).max(axis=2)
    assert 20 < (differences > 60).sum() < differences.size / 2  # a skeleton, and only that


def test_json_lines(small: posekit.Predictor, video: Path, tmp_path: Path) -> None:
    for _ in small.stream(video, pred_out_dir=tmp_path, pred_format="jsonl", flip_test=False):
        pass
    lines = (tmp_path / "noise.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame_id"] for line in lines] == list(range(12))


def test_leaving_early_closes_the_files_and_the_threads(
    small: posekit.Predictor, video: Path, tmp_path: Path
) -> None:
    before = set(threading.enumerate())
    stream = small.stream(video, out_dir=tmp_path, flip_test=False)
    for _ in range(4):
        next(stream)
    stream.close()
    # A progress bar's watcher stays, once there was a bar.
    left = set(threading.enumerate()) - before
    assert [thread for thread in left if type(thread) is not TMonitor] == []
    assert len(json.loads((tmp_path / "predictions" / "noise.json").read_text())) == 4
    assert len(decoded(tmp_path / "visualization" / "noise.mp4")) == 4


def test_an_images_files_are_there_with_its_result(
    small: posekit.Predictor, tmp_path: Path
) -> None:
    results = small([np.zeros((32, 32, 3), np.uint8)] * 2, out_dir=tmp_path)
    next(results)
    assert (tmp_path / "predictions" / "00000000.json").exists()
    assert (tmp_path / "visualization" / "00000000.jpg").exists()


def interrupted(command: list[str], cwd: Path, after: str) -> tuple[int, str, str]:
    """Runs a command, sends it Ctrl-C when a file has grown, and gives status and outputs."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    path = cwd / after
    while process.poll() is None and not (path.exists() and path.stat().st_size > 20_000):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)  # the processor is the command's
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_leaves_a_video_that_plays_and_predictions_that_parse(
    rtmpose_t: Path, tmp_path: Path
) -> None:
    make_video(tmp_path / "long.mp4", 600)
    command = [sys.executable, "-m", "posekit", "predict", "model=rtmpose-t_body8-256x192"]
    command += [f"weights={rtmpose_t}", "detector=whole_image", "device=cpu", "flip_test=false"]
    command += ["inputs=long.mp4", "out_dir=out"]
    status, out, err = interrupted(command, tmp_path, "out/predictions/long.json")
    assert status == 130 and "interrupted" in err
    frames = json.loads((tmp_path / "out" / "predictions" / "long.json").read_text())
    assert 5 < len(frames) < 600
    reported = re.search(r"(\d+) instances in (\d+) images", out)
    assert reported is not None and int(reported[2]) <= len(frames)
    assert len(decoded(tmp_path / "out" / "visualization" / "long.mp4")) == len(frames)


@pytest.fixture
def truncated(tmp_path: Path) -> Path:
    """A video whose second half is missing, as after a broken copy."""
    whole = make_video(tmp_path / "whole.ts.mp4", 60)
    fragments = tmp_path / "cut.mp4"
    with (
        av.open(str(whole)) as source,
        av.open(str(fragments), "w", options={"movflags": "frag_keyframe+empty_moov"}) as target,
    ):
        stream = target.add_stream("libx264", rate=25, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode(None))
    data = fragments.read_bytes()
    fragments.write_bytes(data[: len(data) // 2])
    return fragments


def test_a_truncated_video_gives_the_frames_that_decode(
    small: posekit.Predictor, truncated: Path, tmp_path: Path
) -> None:
    results = []
    with pytest.raises(InputError, match=r"cut\.mp4"):
        for result in small.stream(truncated, pred_out_dir=tmp_path, flip_test=False, batch_size=4):
            results.append(result)
    assert 5 < len(results) < 60
    assert len(json.loads((tmp_path / "cut.json").read_text())) == len(results)
    failed: dict[str, InputError] = {}
    skipped = list(small.stream(truncated, flip_test=False, on_error=failed.__setitem__))
    assert len(skipped) == len(results) and list(failed) == [str(truncated)]


def test_frames_that_wait_for_a_window_come_before_the_error(
    lifted: posekit.Predictor, truncated: Path
) -> None:
    results = []
    with pytest.raises(InputError, match=r"cut\.mp4"):
        for result in lifted.stream(truncated, flip_test=False):
            results.append(result)
    assert len(results) > 5


def test_tracks_are_in_every_result(small: posekit.Predictor, video: Path) -> None:
    boxes = [[*a, *b] for a, b in zip(box(12, 2), box(12, 2.5), strict=True)]
    for instances in (
        [result["predictions"][0] for result in small(video, bboxes=boxes, flip_test=False)],
        [
            result["predictions"][0]
            for result in small(video, bboxes=boxes, flip_test=False, track="iou")
        ],
    ):
        tracked = "track_id" in instances[0][0]
    assert tracked
    ids = [[instance["track_id"] for instance in frame] for frame in instances]
    assert len(set(map(tuple, ids))) == 1 and len(set(ids[0])) == 2


@pytest.mark.parametrize(
    ("options", "natural"),
    [
        ({}, False),
        ({"track": "iou"}, True),
        ({"smooth": "savgol"}, True),
        ({"det_interval": 2}, True),
        ({"track": "iou", "order": "name"}, False),
        ({"order": "natural"}, True),
        ({"track": "iou", "bboxes": [[[0, 0, 9, 9]]] * 3}, False),
    ],
)
def test_numbers_count_where_the_order_matters(
    small: posekit.Predictor, tmp_path: Path, options: dict[str, Any], natural: bool
) -> None:
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.zeros((16, 16, 3), np.uint8))
    found = [result.name for result in small.stream(tmp_path, flip_test=False, **options)]
    expected = ["frame1.png", "frame2.png", "frame10.png"]
    assert found == (expected if natural else sorted(expected))


def test_every_video_has_its_own_tracks(small: posekit.Predictor, video: Path) -> None:
    boxes = box(24)
    results = list(small.stream([video, video], bboxes=boxes, track="oks", flip_test=False))
    assert [result.frame_id for result in results] == [*range(12), *range(12)]
    assert all(result.track_ids is not None for result in results)
    assert results[0].track_ids == results[12].track_ids


@contextmanager
def detections(predictor: posekit.Predictor) -> Iterator[list[int]]:
    """The sizes of the batches that go through the detector."""
    sizes: list[int] = []
    assert predictor.detector is not None
    hook = predictor.detector.net.register_forward_hook(
        lambda _, inputs, __: sizes.append(len(inputs[0]))
    )
    try:
        yield sizes
    finally:
        hook.remove()


@pytest.mark.parametrize("kind", ["video", "list", "generator", "files"])
def test_the_detector_rests_between(
    human: posekit.Predictor, shared: Path, tmp_path: Path, kind: str
) -> None:
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))
    size = (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)
    image = image[: size[1], : size[0]]
    inputs: Any
    if kind == "video":
        inputs = tmp_path / "still.mp4"
        with VideoWriter(inputs, fps=Fraction(10), size=size) as video:
            for _ in range(5):
                video.write(image)
    elif kind == "files":
        inputs = tmp_path
        for number in range(5):
            cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    else:
        inputs = [image] * 5 if kind == "list" else (image for _ in range(5))
    with detections(human) as sizes:
        results = list(human.stream(inputs, det_interval=4, track="iou", flip_test=False))
    assert sizes == [1, 1]
    assert [len(result) for result in results] == [1] * 5
    # Untrained keypoints say little about where the person goes, but the id is carried.
    assert len({int(result.track_ids[0]) for result in results[:4]}) == 1


@pytest.mark.parametrize("smooth", ["one-euro", "savgol"])
def test_smoothing_keeps_the_frames_and_calms_the_keypoints(
    small: posekit.Predictor, tmp_path: Path, smooth: str
) -> None:
    # On a plain picture each keypoint is at the same place of its box, and the boxes shake.
    with VideoWriter(tmp_path / "plain.mp4", fps=Fraction(25), size=SIZE) as video:
        for _ in range(12):
            video.write(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    boxes = [[[left, 10, left + 80, 110]] for left in [10, 12] * 6]
    options: dict[str, Any] = {"bboxes": boxes, "flip_test": False}
    plain = list(small.stream(tmp_path / "plain.mp4", **options))
    smoothed = list(small.stream(tmp_path / "plain.mp4", smooth=smooth, **options))
    assert [result.frame_id for result in smoothed] == list(range(12))

    def jitter(results: list[posekit.PoseResult]) -> float:
        keypoints = np.stack([result.keypoints[0] for result in results])
        return float(np.abs(np.diff(keypoints, n=2, axis=0)).mean())

    assert jitter(plain) == pytest.approx(2, abs=1e-3)  # 4 px along x, nothing along y
    assert jitter(smoothed) < 1


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server that is up for as long as the context."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_lifted_video_of_a_url_is_fetched_once(
    lifted: posekit.Predictor, video: Path, tmp_path: Path
) -> None:
    data, asked = video.read_bytes(), []

    class Once(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if len(asked) == 1 else 503)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    with serving(Once) as url:
        found = lifted.stream(
            f"{url}/noise.mp4", bboxes=box(12), flip_test=False, vis_out_dir=tmp_path
        )
        assert len(list(found)) == 12
    assert asked == ["/noise.mp4"]
    assert len(decoded(tmp_path / "noise.mp4")) == 12


def test_a_video_that_changes_its_size(small: posekit.Predictor, tmp_path: Path) -> None:
    path = tmp_path / "sizes.ts"
    for size in (SIZE, (96, 128)):
        make_video(tmp_path / "part.mp4", 5, size)
        with (
            av.open(str(tmp_path / "part.mp4")) as source,
            av.open(str(tmp_path / "part.ts"), "w", format="mpegts") as target,
        ):
            stream = target.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for frame in source.decode(video=0):
                target.mux(stream.encode(frame.reformat(format="yuv420p")))
            target.mux(stream.encode(None))
        with path.open("ab") as whole:
            whole.write((tmp_path / "part.ts").read_bytes())
    results = list(small.stream(path, out_dir=tmp_path / "out", flip_test=False))
    assert {result.image_size for result in results} == {SIZE, (96, 128)}
    drawings = decoded(tmp_path / "out" / "visualization" / "sizes.mp4")
    assert len(drawings) == len(results) == 10
    # Its bars are black; its own pixels are not.
    assert drawings[-1][:, :28].mean() < 4 < drawings[-1][:, 36:124].mean()


@pytest.mark.parametrize("window", [None, 1, 5])
def test_a_lifter_gives_three_dimensions(
    lifted: posekit.Predictor, video: Path, window: int | None, tmp_path: Path
) -> None:
    results = list(
        lifted.stream(video, lift_window=window, bboxes=box(12), flip_test=False, out_dir=tmp_path)
    )
    assert [result.frame_id for result in results] == list(range(12))
    for result in results:
        assert result.pose3d is not None
        assert result.pose3d.keypoints.shape == (1, 17, 3)
        assert result.keypoints.shape == (1, 17, 2)
        assert "m" in result.pose3d.unit and result.pose3d.axes
    frames = json.loads((tmp_path / "predictions" / "noise.json").read_text())
    assert set(frames[0]["instances"][0]) >= {"keypoints", "keypoint_scores"}
    assert np.shape(frames[0]["instances"][0]["keypoints"]) == (17, 3)
    drawings = decoded(tmp_path / "visualization" / "noise.mp4")
    assert len(drawings) == 12 and drawings[0].shape[1] > SIZE[0]
    # Beside each drawing is its own frame, in whatever order they were read.
    for number, (drawing, image) in enumerate(zip(drawings, decoded(video), strict=True)):
        left = drawing[: SIZE[1], : SIZE[0]].astype(int)
        assert np.median(np.abs(left - image)) < 12, number


def test_a_window_changes_what_one_frame_gives(lifted: posekit.Predictor, video: Path) -> None:
    alone, together = (
        np.stack(
            [
                result.pose3d.keypoints[0]
                for result in lifted.stream(
                    video, lift_window=window, bboxes=box(12), flip_test=False
                )
                if result.pose3d is not None
            ]
        )
        for window in (1, None)
    )
    assert np.abs(alone - together).max() > 1e-2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"draw_heatmap": True}, "draw_heatmap=True applies to 2D models only"),
        ({"black_background": True}, "black_background"),
        ({"skeleton_style": "openpose"}, "skeleton_style"),
    ],
)
def test_options_that_3d_does_not_have(
    lifted: posekit.Predictor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        lifted.stream("none.mp4", **options)


@pytest.mark.parametrize(
    "options",
    [{"num_instances": 2}, {"disable_rebase_keypoint": True}, {"lift_window": 9}],
)
def test_options_that_2d_does_not_have(small: posekit.Predictor, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))}=.* applies to models that|3D"):
        small.stream("none.mp4", **options)


def test_a_window_without_a_display(
    small: posekit.Predictor, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform != "linux":
        pytest.skip("other systems always have a display")
    with pytest.raises(InputError, match="display"):
        small.stream(video, show=True)


@pytest.mark.usefixtures("same_crops")
def test_heat_maps_below_the_drawing(shared: Path, tmp_path: Path) -> None:
    name = "td-hm_hrnet-w32_8xb64-210e_coco-256x192"
    weights = tmp_path / "hrnet.safetensors"
    save_seeded_weights(shared / "reference" / "pose2d" / name, name, weights)
    predictor = posekit.load(
        name, weights=weights, detector="whole_image", device="cpu", speed="accurate"
    )
    recorded = shared / "reference" / "inferencer" / f"{name}__000000000785.json"
    (instances,) = json.loads(recorded.read_text())["result"]["predictions"]
    boxes = [[*instance["bbox"][0], instance["bbox_score"]] for instance in instances]
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))
    (result,) = predictor.stream(image, bboxes=boxes, draw_heatmap=True, return_vis=True)
    assert result.visualization is not None
    expected = cv2.imread(str(shared / "reference" / "visualization" / "heatmap_hrnet-w32.png"))
    assert result.visualization.shape == expected.shape
    for part in (slice(len(image)), slice(len(image), None)):  # the drawing, the heat maps
        differences = np.abs(result.visualization[part].astype(int) - expected[part])
        assert differences.mean() < 0.1


def test_a_model_without_heat_maps_says_so(
    small: posekit.Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    (result,) = small.stream(image, draw_heatmap=True, return_vis=True)
    assert "no heatmaps" in caplog.text
    assert result.visualization is not None and result.visualization.shape == image.shape


def test_doubles_are_left_out(small: posekit.Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 255, (128, 96, 3), np.uint8)
    boxes = [[5, 5, 90, 120, 0.5], [5, 5, 90, 120, 0.9], [0, 0, 30, 40, 0.7]]
    (result,) = small.stream(image, bboxes=boxes, pose_based_nms=True)
    assert sorted(result.box_scores.tolist()) == pytest.approx([0.7, 0.9])


def test_a_failed_write_ends_the_stream(
    small: posekit.Predictor, video: Path, tmp_path: Path
) -> None:
    stream = small.stream(video, out_dir=tmp_path, flip_test=False)
    (tmp_path / "predictions" / "noise.json").mkdir()
    with pytest.raises(OutputError, match=r"noise\.json"):
        list(stream)


def test_a_camera_that_disappears_keeps_what_it_gave(
    small: posekit.Predictor, tmp_path: Path
) -> None:
    shots: queue.Queue[bytes | None] = queue.Queue()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=shot")
            self.end_headers()
            while (data := shots.get()) is not None:
                head = f"--shot\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    shot = cv2.imencode(".jpg", np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))[1].tobytes()
    results = []
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/camera"
        stream = small.stream(url, out_dir=tmp_path, flip_test=False, batch_size=4)
        with pytest.raises(InputError, match="ended after"):
            for _ in range(3):  # each is there before the next one is taken
                shots.put(shot)
                shots.put(shot)
                results.append(next(stream))
            shots.put(None)
            results.extend(stream)
    finally:
        shots.put(None)
        server.shutdown()
        serving.join()
        server.server_close()
    assert len(results) >= 3
    (predictions,) = (tmp_path / "predictions").iterdir()
    (drawing,) = (tmp_path / "visualization").iterdir()
    assert len(json.loads(predictions.read_text())) == len(results)
    assert len(decoded(drawing)) == len(results)


@pytest.fixture(scope="module")
def skiers(shared: Path) -> Path:
    return shared / "images" / "000000197388.jpg"


@pytest.fixture(scope="module")
def plain(small: posekit.Predictor, skiers: Path) -> np.ndarray:
    """The drawing that no option changes."""
    (result,) = small.stream(skiers, return_vis=True, flip_test=False)
    assert result.visualization is not None
    return result.visualization


class TestEffects:
    """Each option changes something."""

    @pytest.mark.parametrize(
        "option",
        [
            {"radius": 9},
            {"thickness": 5},
            {"kpt_thr": 50.0},
            {"draw_bbox": True},
            {"black_background": True},
            {"skeleton_style": "openpose"},
        ],
        ids=lambda option: next(iter(option)),
    )
    def test_of_a_drawing(
        self,
        small: posekit.Predictor,
        skiers: Path,
        plain: np.ndarray,
        option: dict[str, Any],
    ) -> None:
        (result,) = small.stream(skiers, return_vis=True, flip_test=False, **option)
        assert result.visualization is not None
        assert result.visualization.shape == plain.shape
        assert (result.visualization != plain).any()

    def test_of_the_detector(
        self, human: posekit.Predictor, small: posekit.Predictor, skiers: Path
    ) -> None:
        # A hundred boxes are estimated, so by the smallest model.
        predictor = posekit.Predictor(small.estimator, human.detector)

        def boxes(**options: Any) -> int:
            (result,) = predictor.stream(skiers, flip_test=False, **options)
            return len(result)

        usual = boxes()
        assert boxes(bbox_thr=0.9) < usual < boxes(bbox_thr=0.1)
        assert boxes(nms_thr=0.01) <= usual <= boxes(nms_thr=1.0)
        assert boxes(nms_thr=0.01, bbox_thr=0.05) < boxes(nms_thr=1.0, bbox_thr=0.05)
        assert boxes(det_cat_ids=0) == boxes(det_cat_ids=[0]) == usual
        with pytest.raises(InputError, match="det_cat_ids must be from 0 to 0"):
            boxes(det_cat_ids=[7])

    def test_of_tracking(self, small: posekit.Predictor, video: Path) -> None:
        moving = box(12, 8)
        gap = [*moving[:3], [], [], [], *moving[6:]]

        def ids(boxes: Any, **options: Any) -> int:
            """How many different people there were."""
            found = small.stream(video, bboxes=boxes, flip_test=False, **options)
            return len({int(i) for result in found for i in result.track_ids})

        assert ids(moving, track="iou") == 1
        assert ids(moving, track="iou", tracking_thr=1.0) == 12
        assert ids(gap, track="iou") == 1
        assert ids(gap, track="iou", max_age=1) == 2
        # Untrained keypoints jump while the box does not.
        assert ids(moving, track="oks", tracking_thr=0.9) > 1

    def test_of_lifting(self, lifted: posekit.Predictor, video: Path) -> None:
        def heights(**options: Any) -> np.ndarray:
            found = lifted.stream(video, bboxes=box(12), flip_test=False, lift_window=1, **options)
            return np.stack([r.pose3d.keypoints[0, :, 2] for r in found if r.pose3d is not None])

        usual = heights()
        assert np.allclose(usual.min(axis=1), 0)
        assert (heights(disable_rebase_keypoint=True)[:, 0] == 0).all()
        assert np.abs(heights(disable_norm_pose_2d=True) - usual).max() > 1e-2

    def test_of_plots(self, lifted: posekit.Predictor, skiers: Path) -> None:
        widths = []
        for number in (1, 3):
            (result,) = lifted.stream(
                skiers, return_vis=True, flip_test=False, num_instances=number
            )
            assert result.visualization is not None
            widths.append(result.visualization.shape[1])
        assert widths[1] > widths[0] + 100

    def test_of_oks_for_windows(self, lifted: posekit.Predictor, video: Path) -> None:
        def poses(**options: Any) -> list[np.ndarray]:
            found = lifted.stream(video, bboxes=box(12, 8), flip_test=False, **options)
            return [r.pose3d.keypoints for r in found if r.pose3d is not None]

        # To the eyes of OKS, untrained keypoints are somebody else in every frame.
        usual, other = poses(), poses(use_oks_tracking=True, tracking_thr=0.9)
        assert any(not np.allclose(a, b) for a, b in zip(usual, other, strict=True))

    def test_of_a_progress_bar(
        self, small: posekit.Predictor, video: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert len(list(small.stream(video, flip_test=False))) == 12
        assert capsys.readouterr().err == ""
        assert len(list(small.stream(video, flip_test=False, show_progress=True))) == 12
        assert "12frame" in capsys.readouterr().err

    def test_of_folders(self, small: posekit.Predictor, video: Path, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        for name in ("a.png", "sub/b.png", "c.png"):
            cv2.imwrite(str(tmp_path / name), np.zeros((32, 32, 3), np.uint8))
        (tmp_path / "noise.mp4").write_bytes(video.read_bytes())

        def taken(**options: Any) -> list[str]:
            return [r.name for r in small.stream(tmp_path, flip_test=False, **options)]

        assert taken() == ["a.png", "c.png"]
        assert taken(include="*.mp4") == ["noise.mp4"] * 12
        assert set(taken(recursive=True)) == {"a.png", "b.png", "c.png", "noise.mp4"}
