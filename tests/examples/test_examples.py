"""The programs in examples/ run as a user runs them, on drawn people who do what is known."""

from __future__ import annotations

import functools
import json
import re
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

import posekit
from posekit.datasets.synthetic import generate_scene
from posekit.files import PACKAGED
from posekit.io import read_frames
from tests.conftest import ROOT
from tests.examples import drawn

EXAMPLES = ROOT / "examples"
OF_VIDEOS = ("blur_faces", "count_squats", "fall_alarm", "follow_person", "compare_movements")
DEMO = PACKAGED / "demo.jpg"


@pytest.fixture(scope="module", autouse=True)
def loaded_once() -> Iterator[None]:
    """A user's process loads the model; here all programs have the same one."""
    load = functools.cache(lambda name: posekit.predictor.load(name, device="cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posekit, "load", load)
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        status: its exit status.
        out: what it printed.
        err: what it said besides, such as an error.
    """

    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a program of examples/ in this process, with what follows its name on a command line."""

    def run(name: str, *words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def pictures(path: Path) -> np.ndarray:
    """All frames of a video, (T, H, W, 3)."""
    return np.stack([frame.image for frame in read_frames(path)])


def test_squats_are_counted_and_drawn(folder: Path, run: Run) -> None:
    drawn.write_clip(folder / "clip.mp4", [drawn.squats(2)], 2.6, fps=8)
    ended = run("count_squats", "clip.mp4")
    assert ended.status == 0, ended.err
    times = [float(time) for time in re.findall(r"^(\S+) s: person 0, number", ended.out, re.M)]
    assert times == pytest.approx([1.3, 2.3], abs=0.2)
    assert "person 0: 2 x squat" in ended.out
    shown = pictures(folder / "repetitions.mp4")
    assert len(shown) == 21
    corner = (slice(4, 30), slice(4, 130))  # of the counter, white on black
    white = [(shown[(i, *corner)].min(axis=2) > 200).sum() for i in (0, -1)]
    assert min(white) > 100
    assert np.abs(shown[(0, *corner)].astype(int) - shown[(-1, *corner)]).max() > 100


def test_faces_and_nothing_else_are_blurred(folder: Path, run: Run) -> None:
    clip = folder / "clip.mp4"
    boxes = drawn.write_clip(clip, [drawn.stands(90), drawn.stands(230)], 0.4, yaw=0)
    ended = run("blur_faces", clip)
    assert (ended.status, ended.out[:7]) == (0, "2 faces"), ended.err
    before, after = pictures(clip).astype(int), pictures(folder / "blurred.mp4").astype(int)
    height = boxes[0, 0, 3] - boxes[0, 0, 1]
    rest = np.ones(before.shape[1:3], bool)
    for x1, y1, x2, _ in boxes[0]:
        middle = (x1 + x2) / 2
        # Eyes and mouth, half as wide as the head, which is a fifth of the person.
        rows = slice(int(y1 + 0.06 * height), int(y1 + 0.17 * height))
        columns = slice(int(middle - 0.04 * height), int(middle + 0.04 * height))
        face = (slice(None), rows, columns)
        assert after[face].std(axis=(1, 2)).max() < 0.6 * before[face].std(axis=(1, 2)).min()
        top, left = max(0, int(y1 - 0.1 * height)), max(0, int(middle - 0.25 * height))
        rest[top : int(y1 + 0.4 * height), left : int(middle + 0.25 * height)] = False
    assert np.abs(before - after)[:, rest].mean() < 3  # of encoding once more


def test_the_window_keeps_the_person_inside(folder: Path, run: Run) -> None:
    clip = folder / "clip.mp4"
    boxes = drawn.write_clip(clip, [drawn.walks(60, 160), drawn.stands(290)], 1.2, height=0.5)
    spoiled = runpy.run_path(str(EXAMPLES / "follow_person.py"))
    windows = spoiled["windows"](boxes[:, 0], np.array(drawn.SIZE), 9 / 16, 5)
    low, high = boxes[:, 0, :2].clip(0, drawn.SIZE), boxes[:, 0, 2:].clip(0, drawn.SIZE)
    assert (windows[:, :2] <= low + 1).all() and (windows[:, 2:] >= high - 1).all()
    sides = windows[:, 2:] - windows[:, :2]
    assert (sides == sides[0]).all() and (sides % 2 == 0).all()
    assert sides[0, 0] / sides[0, 1] == pytest.approx(9 / 16, abs=0.02)
    assert (windows[:, :2] >= 0).all() and (windows[:, 2:] <= drawn.SIZE).all()
    steps = np.diff(windows[:, 0])
    assert steps.min() >= 0 and np.abs(np.diff(steps)).max() <= 6  # of pixels, and 16 per frame

    assert run("follow_person", clip, "--who", "central").status == 0
    shown = pictures(folder / "followed.mp4")
    assert shown.shape[0] == len(boxes) and shown.shape[2] / shown.shape[1] < 0.6


def test_who_is_unseen_for_a_while_is_followed_between() -> None:
    windows = runpy.run_path(str(EXAMPLES / "follow_person.py"))["windows"]
    boxes = np.array([[10.0, 50, 50, 150]] * 5 + [[np.nan] * 4] * 5 + [[210, 50, 250, 150]] * 5)
    found = windows(boxes, np.array([320, 240]), 9 / 16, 1)
    assert (np.diff(found[:, 0]) >= 0).all() and found[0, 0] == 0 and found[-1, 0] > 150
    assert 60 < found[7, 0] + 36 < 200


def test_a_fall_gives_one_alarm_at_once(folder: Path, run: Run) -> None:
    drawn.write_clip(folder / "clip.mp4", [drawn.falls(0.5)], 1.6, fps=8, yaw=0)
    ended = run("fall_alarm", "clip.mp4")
    assert ended.status == 0, ended.err
    (event,) = re.findall(r"^(\S+) s: person \d+ fell$", ended.out, re.M)
    assert 0.5 < float(event) <= 0.5 + 0.5 + 0.5  # it takes half a second
    assert len(ended.out.splitlines()) == 1


@pytest.mark.parametrize("move", [drawn.bows(0.4), drawn.squats(1, 0.8)], ids=["bow", "squat"])
def test_other_movements_are_no_falls(move: drawn.Move, folder: Path, run: Run) -> None:
    drawn.write_clip(folder / "clip.mp4", [move], 1.2, fps=8)
    ended = run("fall_alarm", "clip.mp4")
    assert (ended.status, ended.out) == (0, "")


def test_who_lies_down_slowly_does_not_fall_and_who_gets_up_is_told() -> None:
    person = runpy.run_path(str(EXAMPLES / "fall_alarm.py"))["Person"]

    def events(times: np.ndarray, down: np.ndarray) -> list[str]:
        """Of somebody of 100 pixels whose trunk and hips go down by these shares."""
        one = person()
        rows = zip(times.tolist(), down.tolist(), strict=True)
        found = [one.update(t, 85 * share, 100 + 45 * share, 100, 0.3) for t, share in rows]
        return [event for event in found if event]

    times = np.arange(0, 8, 0.1)
    assert events(times, np.clip((times - 1) / 4, 0, 1)) == []
    fast = np.clip((times - 1) / 0.5, 0, 1)
    assert events(times, fast) == ["fell"]
    assert events(times, fast * np.clip((6 - times) / 2, 0, 1)) == ["fell", "is up again"]
    # Between the two angles nothing changes, however it shakes.
    shaking = fast * np.where(np.arange(len(times)) % 2, 1, 0.5)
    assert events(times, shaking) == ["fell"]


def test_the_same_movement_in_another_time_is_alike(folder: Path, run: Run) -> None:
    drawn.write_clip(folder / "a.mp4", [drawn.squats(1, 1.2)], 1.7, fps=6)
    drawn.write_clip(folder / "b.mp4", [drawn.squats(1, 2.0, depth=0.7)], 2.5, fps=6)
    ended = run("compare_movements", "a.mp4", "b.mp4")
    assert ended.status == 0, ended.err
    line = re.compile(r"^(\w+) +alike +(\S+), +(\d+) degrees apart, (\d+) at (\S+) s and (\S+) s$")
    rows = {
        m[1]: [float(m[i]) for i in range(2, 7)]
        for m in map(line.match, ended.out.splitlines())
        if m
    }
    assert list(rows)[:2] == ["right_knee", "left_knee"] and len(rows) == 6
    for name in ("right_knee", "left_knee", "right_hip"):
        alike, _, most, mine, other = rows[name]
        assert alike > 0.9 and most > 10
        assert mine == pytest.approx(0.9, abs=0.3) and other == pytest.approx(1.3, abs=0.5)


def test_movements_are_aligned_as_the_definition_says() -> None:
    align = runpy.run_path(str(EXAMPLES / "compare_movements.py"))["align"]
    rng = np.random.default_rng(0)
    first, second = rng.random((9, 2)), rng.random((7, 2))
    best = np.full((10, 8), np.inf)
    best[0, 0] = 0
    for i in range(9):
        for j in range(7):
            cost = np.abs(first[i] - second[j]).sum()
            best[i + 1, j + 1] = cost + min(best[i, j], best[i, j + 1], best[i + 1, j])
    here, there = align(first, second)
    assert np.abs(first[here] - second[there]).sum() == pytest.approx(best[-1, -1])
    steps = np.stack([np.diff(here), np.diff(there)])
    assert set(map(tuple, steps.T.tolist())) <= {(0, 1), (1, 0), (1, 1)}
    assert (here[0], there[0], here[-1], there[-1]) == (0, 0, 8, 6)


def test_cameras_are_in_step(folder: Path, run: Run) -> None:
    pandas = pytest.importorskip("pandas")
    (folder / "cameras").mkdir()
    places = {"a": (drawn.stands(100), 0.6, 10), "b": (drawn.walks(60, 100), 0.6, 5)}
    places["c"] = (drawn.stands(200), 0.4, 10)
    for name, (move, seconds, fps) in places.items():
        drawn.write_clip(folder / "cameras" / f"{name}.mp4", [move], seconds, fps=fps)
    ended = run("multi_camera", "cameras")
    assert ended.status == 0, ended.err
    table = pandas.read_csv("in_step/people.csv")
    times = {camera: rows.time.round(3).tolist() for camera, rows in table.groupby("camera")}
    assert times[0] == times[1] == times[2] == [round(0.1 * i, 3) for i in range(4)]
    assert table[table.camera == 1].frame_id.tolist() == [0, 0, 1, 1]
    assert {Path(name).name for name in table.source} == {"a.mp4", "b.mp4", "c.mp4"}
    assert pictures(Path("in_step/cameras.mp4")).shape == (4, 480, 640, 3)


def test_a_pose_for_controlnet(folder: Path, run: Run) -> None:
    ended = run("controlnet_picture", DEMO, "--side", "500")
    assert ended.status == 0 and "4 people on 512x320" in ended.out, ended
    pose, photo = (cv2.imread(f"controlnet/{name}.png") for name in ("pose", "photo"))
    assert pose is not None and photo is not None
    assert pose.shape == photo.shape == (320, 512, 3)
    assert (pose.max(axis=2) == 0).mean() > 0.8 and (pose.max(axis=2) > 200).any()
    (canvas,) = json.loads(Path("controlnet/photo.controlnet.json").read_text())
    assert (canvas["canvas_width"], canvas["canvas_height"]) == (512, 320)
    points = np.array(canvas["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
    for x, y, score in points:  # where a keypoint is, it is drawn
        if score >= 0.3:
            assert pose[int(y * 320), int(x * 512)].max() > 0


def test_labels_are_begun(folder: Path, run: Run) -> None:
    (folder / "photos").mkdir()
    (folder / "photos" / "a.jpg").write_bytes(DEMO.read_bytes())
    ended = run("label_assist", "label", "photos")
    assert ended.status == 0 and "4 people in 1 pictures" in ended.out, ended.err
    labels = json.loads(Path("labels/predictions.coco.json").read_text())
    assert [image["file_name"] for image in labels["images"]] == ["a.jpg"]
    assert len(labels["annotations"]) == 4
    assert len(json.loads(Path("labels/predictions.label_studio.json").read_text())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["coco", "label_studio"])
def test_the_model_learns_from_corrected_labels(tool: str, folder: Path, run: Run) -> None:
    (folder / "photos").mkdir()
    for number in range(8):
        cv2.imwrite(f"photos/{number}.jpg", generate_scene(number, size_wh=(256, 192)).image)
    assert run("label_assist", "label", "photos").status == 0
    path = Path(f"labels/predictions.{tool}.json")
    content = json.loads(path.read_text())
    if tool == "label_studio":  # as it exports what was submitted
        for number, task in enumerate(content):
            task["id"], (prediction,) = number, task.pop("predictions")
            task["annotations"] = [{"id": number, "result": prediction["result"]}]
    Path("export.json").write_text(json.dumps(content))
    ended = run("label_assist", "learn", "export.json", "photos", "--epochs", "1")
    assert ended.status == 0 and "runs/labels" in ended.out, ended.err
    assert run("label_assist", "label", "photos", "--model", "runs/labels").status == 0


def received(port: socket.socket) -> list[bytes]:
    """All packets that wait at a port."""
    port.setblocking(False)
    found = []
    while True:
        try:
            found.append(port.recv(65536))
        except BlockingIOError:
            return found


@pytest.mark.parametrize("form", ["json", "osc"])
def test_keypoints_come_over_udp(form: str, folder: Path, run: Run) -> None:
    boxes = drawn.write_clip(folder / "clip.mp4", [drawn.stands(90), drawn.stands(230)], 0.2)
    if form == "osc":
        message = pytest.importorskip("pythonosc.osc_message")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        words = [
            "clip.mp4",
            "--port",
            port.getsockname()[1],
            *(["--json"] if form == "json" else []),
        ]
        ended = run("osc_stream", *words)
        packets = received(port)
    assert ended.status == 0 and "sent: 4 poses" in ended.out, ended.err
    noses = {}
    if form == "json":
        for packet in map(json.loads, packets):
            noses[packet["time"], packet["person"]] = packet["keypoints"]["nose"]
        assert {time for time, _ in noses} == {0.0, 0.1}
    else:
        assert len(packets) == 4 * 17
        for one in map(message.OscMessage, packets):
            if one.address.endswith("/nose"):
                noses[len(noses), one.address] = list(one.params)
        assert {address for _, address in noses} == {"/posekit/0/nose", "/posekit/1/nose"}
    assert len(noses) == 4
    middles = (boxes[0, :, 0] + boxes[0, :, 2]) / 2 / drawn.SIZE[0]
    for x, y, score in noses.values():
        assert np.abs(middles - x).min() < 0.05 and 0.3 < y < 0.6 and score > 0.3


@pytest.mark.parametrize("name", [*OF_VIDEOS, "controlnet_picture", "osc_stream", "label_assist"])
def test_what_cannot_be_used_is_a_line(name: str, folder: Path, run: Run) -> None:
    (folder / "text.mp4").write_text("no video")
    drawn.write_clip(folder / "empty.mp4", [], 0.2)
    cv2.imwrite("empty.png", drawn.draw([], 0, yaw=0, height=0.5)[0])
    cases = {"none.mp4": "no such file", "text.mp4": "text.mp4"}
    cases["empty.png" if name in ("controlnet_picture", "label_assist") else "empty.mp4"] = (
        "found|seen"
    )
    if name in OF_VIDEOS:
        cases[str(DEMO)] = "is a picture: name a|expected a video"
    before = ["label"] if name == "label_assist" else []
    for given, said in cases.items():
        ended = run(name, *before, given)
        assert ended.status == 1, given
        lines = ended.err.strip().splitlines()
        assert re.search(said, lines[-1]) and "Traceback" not in ended.err, ended.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("{", "export.json cannot be read"),
        ("[]", "not in a supported format"),
    ],
)
def test_an_export_that_is_none_is_a_line(
    content: str | None, said: str, folder: Path, run: Run
) -> None:
    if content is not None:
        Path("export.json").write_text(content)
    ended = run("label_assist", "learn", "export.json", ".")
    assert ended.status == 1 and said in ended.err.splitlines()[-1]


def test_a_folder_without_videos_is_a_line(folder: Path, run: Run) -> None:
    pytest.importorskip("pandas")
    ended = run("multi_camera", folder)
    assert ended.status == 1 and "expected a folder of videos" in ended.err


@pytest.mark.parametrize("name", ["blur_faces", "count_squats", "follow_person"])
def test_a_clip_is_not_written_over(name: str, folder: Path, run: Run) -> None:
    drawn.write_clip(folder / "clip.mp4", [drawn.stands()], 0.2)
    content = Path("clip.mp4").read_bytes()
    ended = run(name, "clip.mp4", "--out", folder / "clip.mp4")
    assert ended.status == 1 and "is the input video" in ended.err
    assert Path("clip.mp4").read_bytes() == content


def test_a_program_is_a_process(folder: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "controlnet_picture.py"), "none.jpg"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1].startswith("posekit: error: no such file")


def test_a_live_stream_is_watched_until_it_ends(run: Run) -> None:
    picture = drawn.draw([drawn.stands()], 0, yaw=0, height=0.6)[0]
    shot = cv2.imencode(".jpg", picture)[1].tobytes()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=shot")
            self.end_headers()
            head = f"--shot\r\nContent-Type: image/jpeg\r\nContent-Length: {len(shot)}\r\n\r\n"
            for _ in range(4):
                self.wfile.write(head.encode() + shot + b"\r\n")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        ended = run("fall_alarm", f"http://127.0.0.1:{server.server_address[1]}/camera")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (ended.status, ended.out) == (1, "")
    assert "ended after" in ended.err and "Traceback" not in ended.err
