"""MMPose's interfaces: every documented snippet runs with its imports changed, results match."""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

import posekit
from posekit.apis import (
    VISUALIZERS,
    MMPoseInferencer,
    PoseLocalVisualizer,
    TopdownModel,
    dataset_meta,
    imread,
    inference_topdown,
    init_model,
    merge_data_samples,
    visualize,
)
from posekit.build import build_network
from posekit.commands.inferencer import main as inferencer
from posekit.config import read_config
from posekit.errors import InputError, UnknownModelError
from posekit.files import cache_dir
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.structures import PoseDataSample
from tests.mmpose.test_inferencer import CASES, assert_keypoints_match
from tests.networks import assert_same_poses, reference_state, save_seeded_weights

ROOT = Path(__file__).resolve().parents[2]
SMALL = "rtmpose-t_8xb256-420e_body8-256x192"
BASIC = "img_path = 'tests/data/coco/000000000785.jpg'   #"  # in the first snippet
PERSON = [[100.0, 40.0, 300.0, 380.0]]
# What the documented snippets load, and the URLs of the weights that they name.
HRNET_URL = (
    "https://download.openmmlab.com/mmpose/top_down/hrnet/"
    "hrnet_w32_coco_256x192-c78dce93_20200708.pth"
)
LIFTER_URL = (
    "https://download.openmmlab.com/mmpose/v1/body_3d_keypoint/pose_lift/h36m/"
    "motionbert_ft_h36m-d80af323_20230531.pth"
)
YOLOX_URL = (
    "https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_l_8x8_300e_coco/"
    "yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth"
)
RTMPOSE_URL = (
    "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/"
    "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605.pth"
)


@pytest.fixture(autouse=True, scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("DISPLAY", raising=False)
        patch.delenv("WAYLAND_DISPLAY", raising=False)
        yield


@pytest.fixture(scope="module")
def rtmpose_t_pth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded weights of the smallest pose model, in OpenMMLab's own layout."""
    path = tmp_path_factory.mktemp("weights") / "rtmpose-t.pth"
    folder = ROOT / "tests" / "data" / "pose2d" / SMALL
    torch.save({"meta": {"epoch": 420}, "state_dict": reference_state(folder)}, path)
    return path


@pytest.fixture(scope="module")
def small(rtmpose_t_pth: Path) -> MMPoseInferencer:
    """The smallest model, on whole images."""
    return MMPoseInferencer(SMALL, rtmpose_t_pth, device="cpu", det_model="whole_image")


@pytest.fixture(scope="module")
def model(rtmpose_t_pth: Path) -> TopdownModel:
    return init_model(f"configs/body_2d_keypoint/rtmpose/body8/{SMALL}.py", rtmpose_t_pth, "cpu")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 640 x 425 pixels."""
    path = tmp_path_factory.mktemp("images") / "picture.png"
    noise = np.random.default_rng(0).integers(0, 255, (425, 640, 3), np.uint8)
    cv2.imwrite(str(path), cv2.blur(noise, (9, 9)))
    return path


# --- the documentation's snippets -----------------------------------------------------------------


@pytest.fixture(scope="module")
def document(shared: Path) -> str:
    return (shared / "docs" / "000_ed151ab22076b1ac.txt").read_text(encoding="utf-8")


def snippet(document: str, phrase: str) -> str:
    """The first documented piece of Python with a phrase, its imports changed."""
    blocks = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    found = next(block for block in blocks if phrase in block)
    return re.sub(r"\b(mmpose\.(apis|registry|structures)|mmcv\.image)\b", "posekit.apis", found)


def constructions(document: str) -> list[str]:
    """Every documented `inferencer = MMPoseInferencer(...)`."""
    blocks = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    return [
        ast.unparse(statement)
        for block in blocks
        if "MMPoseInferencer(" in block
        for statement in ast.parse(block).body
        if "MMPoseInferencer(" in ast.unparse(statement)
    ]


@pytest.fixture(scope="module")
def user(shared: Path, environment: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tests/data/coco`, as the snippets have it, and weights in the cache."""
    folder = tmp_path_factory.mktemp("user")
    images = folder / "tests" / "data" / "coco"
    images.mkdir(parents=True)
    for name in ("000000000785.jpg", "000000040083.jpg"):
        shutil.copy(shared / "images" / name, images)
    publish("rtmpose-m_body8-256x192")
    publish("rtmdet-m_person-640")
    return folder


def publish(name: str, url: str | None = None) -> None:
    """Puts weights of zeros into the cache, as if published; detectors find nothing with them."""
    folder = cache_dir() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    if not path.exists():
        shapes = build_network(load_spec(name).net).state_dict()
        state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
        for key, value in state.items():
            if key.endswith("bias") and ("cls" in key or "obj" in key):
                value.fill_(-9)
        save_file(state, path, metadata={"model": name})
    if url is not None:
        key = hashlib.sha256(url.encode()).hexdigest()[:12]
        os.link(path, folder / f"{name}-{key}.safetensors")


@pytest.fixture(scope="module")
def session(user: Path, document: str) -> Callable[..., dict[str, Any]]:
    """Runs snippets one after the other, as in one Python shell, in the user's folder."""
    names: dict[str, Any] = {}

    def run(*phrases: str, **replaced: str) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(user)
            for phrase in phrases:
                code = snippet(document, phrase)
                for old, new in replaced.items():
                    code = code.replace(f"{old}=True", f"{old}={new}")
                exec(code, names)
        return names

    run(BASIC, show="False")
    names["first_result"] = names["result"]
    # The other snippets are not about finding people, which takes most of the time.
    names["inferencer"] = MMPoseInferencer("human", det_model="whole_image", device="cpu")
    return run


def test_snippet_basic_use(session: Callable[..., dict[str, Any]]) -> None:
    result = session()["first_result"]
    assert list(result) == ["visualization", "predictions"] and result["visualization"] == []
    (instances,) = result["predictions"]
    assert list(instances[0]) == ["keypoints", "keypoint_scores", "bbox", "bbox_score"]


def test_snippet_folder(session: Callable[..., dict[str, Any]]) -> None:
    results = session("folder_path = 'tests/data/coco'", show="False")["results"]
    assert len(results) == 2


def test_snippets_that_write(session: Callable[..., dict[str, Any]], user: Path) -> None:
    session("pred_out_dir='predictions'", "out_dir='output'", "vis_out_dir='vis_results'")
    written = sorted(
        str(path.relative_to(user)) for path in user.rglob("*/000*") if "tests" not in path.parts
    )
    assert written == [
        "output/predictions/000000000785.json",
        "output/visualization/000000000785.jpg",
        "predictions/000000000785.json",
        "vis_results/000000000785.jpg",
    ]


@pytest.mark.parametrize(
    "phrase",
    [BASIC, "show=True, radius=4, thickness=2"],
)
def test_snippets_that_show_fail_at_once_without_a_display(
    session: Callable[..., dict[str, Any]], phrase: str
) -> None:
    with pytest.raises(InputError, match=r"no display .*vis_out_dir"):
        session(phrase)


def test_snippet_sizes(session: Callable[..., dict[str, Any]]) -> None:
    assert session("radius=4, thickness=2", show="False")["result"]["predictions"]


def test_snippets_that_construct_2d(document: str, user: Path) -> None:
    publish("hrnet-w32_coco-256x192", HRNET_URL)
    publish("yolox-l_coco-640", YOLOX_URL)
    statements = [s for s in constructions(document) if "pose3d" not in s and "custom" not in s]
    assert len(statements) >= 5
    for statement in dict.fromkeys(statements):
        names: dict[str, Any] = {"MMPoseInferencer": MMPoseInferencer, "PATH_TO_MMDET": "mmdet"}
        exec(statement, names)
        assert names["inferencer"].predictor.estimator.skeleton.name == "coco"


def test_snippets_that_construct_3d(document: str, user: Path) -> None:
    publish("motionbert-ft_h36m", LIFTER_URL)
    statements = [s for s in constructions(document) if "pose3d" in s]
    assert len(statements) >= 3
    for statement in dict.fromkeys(statements):
        names: dict[str, Any] = {"MMPoseInferencer": MMPoseInferencer}
        exec(statement, names)
        image = user / "tests" / "data" / "coco" / "000000000785.jpg"
        (instances,) = next(names["inferencer"](image, bboxes=PERSON))["predictions"]
        assert np.shape(instances[0]["keypoints"]) == (17, 3)


def test_snippet_custom_model(
    document: str, rtmpose_t: Path, picture: Path, tmp_path: Path
) -> None:
    (statement,) = [s for s in constructions(document) if "custom" in s]
    names: dict[str, Any] = {"MMPoseInferencer": MMPoseInferencer}
    with pytest.raises(UnknownModelError, match=r"no such file either.*migrating"):
        exec(statement, names)

    # The same with the configuration written as a YAML.
    yaml = tmp_path / "model" / "custom_human_pose_estimator.yaml"
    yaml.parent.mkdir()
    shutil.copy(ROOT / "conf" / "model" / "rtmpose-t_body8-256x192.yaml", yaml)
    statement = statement.replace("custom_human_pose_estimator.pth", str(rtmpose_t))
    exec(statement.replace("custom_human_pose_estimator.py", str(yaml)), names)
    (instances,) = next(names["inferencer"](picture, bboxes=PERSON))["predictions"]
    assert len(instances) == 1
    # By the path everywhere that a model is named.
    options = {"weights": rtmpose_t, "detector": "whole_image", "device": "cpu"}
    assert len(list(posekit.load(str(yaml), **options)(picture))) == 1
    command = [str(picture), "--pose2d", str(yaml), "--pose2d-weights", str(rtmpose_t)]
    assert inferencer([*command, "--det-model", "whole_image", "--device", "cpu"]) == 0


def test_snippets_of_the_model_interface(shared: Path, document: str, user: Path) -> None:
    key = hashlib.sha256(RTMPOSE_URL.encode()).hexdigest()[:12]
    save_seeded_weights(
        shared / "reference" / "pose2d" / "rtmpose-m_8xb256-420e_coco-256x192",
        "rtmpose-m_coco-256x192",
        cache_dir() / "models" / f"rtmpose-m_coco-256x192-{key}.safetensors",
    )
    build = snippet(document, "model = init_model(").replace("device = 'cuda'", "device = 'cpu'")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(user)
        exec(build, names)
        exec(snippet(document, "batch_results = inference_topdown"), names)
        assert names["batch_results"][0].img_path == "tests/data/coco/000000000785.jpg"
        exec(snippet(document, "pred_instances.keypoints\n"), names)
        for phrase, drawn in (
            ("VISUALIZERS.build(", lambda: names["visualizer"].get_image()),
            ("from mmpose.apis import visualize", None),
        ):
            with pytest.raises(InputError, match="no display"):
                exec(snippet(document, phrase), names)
            exec(snippet(document, phrase).replace("show=True", "show=False"), names)
            if drawn is not None:
                assert drawn().shape == names["img"].shape
                assert (drawn() != names["img"]).any()


def test_a_device_that_is_not_there_is_an_error(rtmpose_t_pth: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InputError, match="device 'cuda' cannot be used here"):
        init_model(SMALL, rtmpose_t_pth, device="cuda")


def test_the_guide_has_every_documented_argument_alias_and_config(document: str) -> None:
    guide = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    tables = [line for line in document.splitlines() if line.startswith("| ")]
    quoted = {cells[0] for line in tables if (cells := re.findall(r"^\| `(\w+)`", line))}
    aliases = {
        cell.strip()
        for line in tables
        if "-256x" in line or "h36m" in line
        for cell in line.split("|")[1:3]
    }
    assert len(quoted) >= 24 and len(aliases) >= 24
    assert [name for name in sorted(quoted | aliases) if f"`{name}`" not in guide] == []


# --- the inferencer -------------------------------------------------------------------------------


# The predictor is checked with all of them; here a person, several and a whole image do.
QUICK = {
    "rtmpose-m_8xb256-210e_hand5-256x256__33",
    "rtmpose-m_8xb256-420e_body8-256x192__000000000785",
    "rtmpose-m_8xb256-420e_body8-256x192__000000040083",
}


@pytest.fixture(scope="module")
def load(
    shared: Path, person_detector: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], MMPoseInferencer]:
    """Loads a model with the seeded weights that the reference used, once."""
    folder = tmp_path_factory.mktemp("seeded")

    @lru_cache(maxsize=1)  # the cases are sorted by model
    def load(name: str, detector: str) -> MMPoseInferencer:
        weights = folder / f"{name}.safetensors"
        save_seeded_weights(shared / "reference" / "pose2d" / name, name, weights)
        whole = detector == "whole_image"
        inferencer = MMPoseInferencer(
            pose2d=name,
            pose2d_weights=str(weights),
            det_model=detector,
            det_weights=None if whole else str(person_detector),
            device="cpu",
        )
        weights.unlink()  # mapped by now
        return inferencer

    return load


@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
)
def test_results_match(
    load: Callable[[str, str], MMPoseInferencer], shared: Path, case: str
) -> None:
    recorded = json.loads((shared / "reference" / "inferencer" / f"{case}.json").read_text())
    (expected,) = recorded["result"]["predictions"]
    inferencer = load(recorded["pose2d"], recorded["detector"])
    image = shared / "images" / recorded["image"]

    result = next(inferencer(str(image), return_vis=True))
    (found,), (drawing,) = result["predictions"], result["visualization"]
    assert drawing.shape == imread(image).shape
    assert len(found) == len(expected)
    for instance, wanted in zip(found, expected, strict=True):
        assert list(instance) == list(wanted)
        assert np.shape(instance["keypoints"]) == np.shape(wanted["keypoints"])
        # Their `bbox` is a tuple of one box; JSON has made a list of it.
        assert isinstance(instance["bbox"], tuple) and len(instance["bbox"]) == 1
        np.testing.assert_allclose(instance["bbox"], wanted["bbox"], atol=0.5)
        assert instance["bbox_score"] == pytest.approx(wanted["bbox_score"], abs=5e-3)

    boxes = [[*wanted["bbox"][0], wanted["bbox_score"]] for wanted in expected]
    (found,) = next(inferencer(str(image), bboxes=boxes))["predictions"]
    assert_keypoints_match(found, expected)


@pytest.fixture(scope="module")
def person_3d(
    shared: Path, rtmpose_m: Path, person_detector: Path, tmp_path_factory: pytest.TempPathFactory
) -> MMPoseInferencer:
    """`human3d` with the seeded weights that the reference used."""
    name = "motionbert_dstformer-ft-243frm_8xb32-120e_h36m"
    weights = tmp_path_factory.mktemp("weights") / "lifter.safetensors"
    save_seeded_weights(shared / "reference" / "pose3d" / name, name, weights)
    return MMPoseInferencer(
        pose3d="human3d",
        pose3d_weights=weights,
        pose2d_weights=rtmpose_m,
        det_model="rtmdet_nano_320-8xb32_coco-person",
        det_weights=person_detector,
        device="cpu",
    )


def recorded_frames(shared: Path, name: str) -> list[list[dict[str, Any]]]:
    """The instances of each frame that the reference gave."""
    recorded = json.loads((shared / "reference" / "inferencer" / f"{name}.json").read_text())
    return [frame["predictions"][0] for frame in recorded["result"]]


def clear(instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose boxes are above the threshold whatever the rounding."""
    return [one for one in instances if one["bbox_score"] > 0.305]


def boxes_of(frames: list[list[dict[str, Any]]]) -> list[list[list[float]]]:
    return [[[*one["bbox"][0], one["bbox_score"]] for one in frame] for frame in frames]


def test_a_video_matches(
    load: Callable[[str, str], MMPoseInferencer], shared: Path, tmp_path: Path
) -> None:
    expected = recorded_frames(shared, "video2d__demo")
    inferencer = load("rtmpose-m_8xb256-420e_body8-256x192", "rtmdet_nano_320-8xb32_coco-person")
    video = str(shared / "video" / "demo.mp4")

    results = inferencer(video, out_dir=tmp_path, flip_test=False)  # only boxes are compared
    found = [result["predictions"][0] for result in results]
    assert len(found) == len(expected)
    # The threshold is 0.3, and one box has 0.3003; the next ones have 0.297 and 0.313.
    for frame, wanted in zip(map(clear, found), map(clear, expected), strict=True):
        assert [list(one) for one in frame] == [list(one) for one in wanted]
        for one, other in zip(frame, wanted, strict=True):
            np.testing.assert_allclose(one["bbox"], other["bbox"], atol=0.5)
    assert (tmp_path / "visualization" / "demo.mp4").stat().st_size
    written = json.loads((tmp_path / "predictions" / "demo.json").read_text())
    assert [len(frame["instances"]) for frame in written] == [len(frame) for frame in found]

    results = inferencer(video, bboxes=boxes_of(expected))
    people = [one for result in results for one in result["predictions"][0]]
    assert_keypoints_match(people, [one for frame in expected for one in frame])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("human3d__demo", {}),
        (
            "human3d__demo_oks_nonorm_norebase",
            {
                "use_oks_tracking": True,
                "tracking_thr": 0.3,
                "disable_norm_pose_2d": True,
                "disable_rebase_keypoint": True,
            },
        ),
    ],
)
def test_a_video_in_3d_matches(
    person_3d: MMPoseInferencer, shared: Path, name: str, options: dict[str, Any]
) -> None:
    expected = recorded_frames(shared, name)
    flat = recorded_frames(shared, "video2d__demo")
    video = str(shared / "video" / "demo.mp4")
    found = [
        result["predictions"][0] for result in person_3d(video, bboxes=boxes_of(flat), **options)
    ]
    assert [len(frame) for frame in found] == [len(frame) for frame in expected]
    distances = []
    for frame, wanted in zip(found, expected, strict=True):
        for one, other in zip(frame, wanted, strict=True):
            assert list(one) == list(other) == ["keypoints", "keypoint_scores"]
            difference = np.subtract(one["keypoints"], other["keypoints"])
            distances.append(np.abs(difference).max())
    # One keypoint of an untrained 2D network elsewhere moves the whole person.
    assert (np.array(distances) < 1e-2).mean() >= 0.9


def test_an_image_in_3d_matches(person_3d: MMPoseInferencer, shared: Path) -> None:
    ((expected,),) = recorded_frames(shared, "human3d__000000000785")
    two_d = "rtmpose-m_8xb256-420e_body8-256x192__000000000785"
    path = shared / "reference" / "inferencer" / f"{two_d}.json"
    boxes = boxes_of(json.loads(path.read_text())["result"]["predictions"])
    image = shared / "images" / "000000000785.jpg"
    ((found,),) = next(person_3d(image, bboxes=boxes))["predictions"]
    # No rounding moves a 2D keypoint here: each maximum is 0.018 above the next.
    np.testing.assert_allclose(found["keypoints"], expected["keypoints"], atol=1e-2)
    assert found["keypoint_scores"] == expected["keypoint_scores"]
    (sample,) = next(person_3d(image, bboxes=boxes, return_datasamples=True))["predictions"]
    assert sample.pred_instances.keypoints.shape == (1, 17, 3)


def test_hands_in_3d_match(shared: Path, tmp_path: Path) -> None:
    ((expected,),) = recorded_frames(shared, "hand3d__33")
    name = "internet_res50_4xb16-20e_interhand3d-256x256"
    weights = tmp_path / "hands.safetensors"
    save_seeded_weights(shared / "reference" / "pose3d" / name, name, weights)
    inferencer = MMPoseInferencer(pose3d="hand3d", pose3d_weights=weights, device="cpu")
    ((found,),) = next(inferencer(shared / "images" / "33.jpg"))["predictions"]
    assert list(found) == list(expected)
    np.testing.assert_allclose(found["bbox"], expected["bbox"], atol=0.5)
    distances = np.abs(np.subtract(found["keypoints"], expected["keypoints"])).max(axis=1)
    assert (distances < 0.5).mean() >= 0.95


@pytest.mark.parametrize("name", ["draw_heatmap", "black_background", "skeleton_style"])
def test_options_of_2d_models_are_refused(person_3d: MMPoseInferencer, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name} applies to 2D models only"):
        person_3d("a.jpg", **{name: "openpose" if name == "skeleton_style" else True})


def test_every_2d_image_of_the_reference_is_a_case(shared: Path) -> None:
    files = {path.stem for path in (shared / "reference" / "inferencer").glob("*__*.json")}
    others = {name for name in files if name.startswith(("human3d", "hand3d", "video2d"))}
    assert files - others == set(CASES)


def test_without_a_person_the_whole_image_is_one(
    rtmpose_t_pth: Path, person_detector: Path
) -> None:
    inferencer = MMPoseInferencer(
        SMALL, rtmpose_t_pth, None, None, "cpu", "mmpose", "rtmdet_nano_320-8xb32_coco-person",
        person_detector, 0, False,
    )  # fmt: skip
    grey = np.full((60, 80, 3), 128, np.uint8)
    (instances,) = next(inferencer(grey))["predictions"]
    assert instances[0]["bbox"] == ([0.0, 0.0, 80.0, 60.0],) and instances[0]["bbox_score"] == 1
    assert next(inferencer(grey, empty="none"))["predictions"] == [[]]


def test_a_dict_has_as_many_images_as_the_batch(small: MMPoseInferencer) -> None:
    images = [np.full((40, 30, 3), level, np.uint8) for level in (0, 90, 180)]
    results = list(small(images, batch_size=2, return_vis=True))
    assert [len(result["predictions"]) for result in results] == [2, 1]
    assert [len(result["visualization"]) for result in results] == [2, 1]


def test_drawings_are_rgb(small: MMPoseInferencer) -> None:
    blue = np.zeros((40, 30, 3), np.uint8)
    blue[..., 0] = 200  # BGR, as it is passed
    (drawing,) = next(small(blue, return_vis=True, kpt_thr=1e9))["visualization"]
    assert (drawing == [0, 0, 200]).all()


def test_nothing_is_done_before_the_first_result_is_asked_for(
    small: MMPoseInferencer, tmp_path: Path
) -> None:
    results = small(str(tmp_path / "missing.jpg"))
    with pytest.raises(InputError, match=r"missing\.jpg"):
        next(results)


def test_samples_instead_of_lists(small: MMPoseInferencer, picture: Path) -> None:
    boxes = [[10.0, 20.0, 110.0, 220.0, 0.5], [0.0, 0.0, 640.0, 425.0, 1.0]]
    (sample,) = next(small(picture, return_datasamples=True, bboxes=boxes))["predictions"]
    (instances,) = next(small(picture, bboxes=boxes))["predictions"]
    assert isinstance(sample, PoseDataSample) and sample.img_path == str(picture)
    assert sample.ori_shape == sample.img_shape == (425, 640) and sample.input_size == (192, 256)
    assert len(sample.pred_instances) == len(sample.gt_instances) == 2
    for row, instance in enumerate(instances):
        one = sample.pred_instances[row]
        keypoints, scores = [instance["keypoints"]], [instance["keypoint_scores"]]
        assert_same_poses(one.keypoints, one.keypoint_scores, np.array(keypoints), scores)
        np.testing.assert_array_equal(one.bboxes, instance["bbox"])
        assert one.bbox_scores == instance["bbox_score"]


def test_a_batch_of_one_is_positional(small: MMPoseInferencer, tmp_path: Path) -> None:
    image = np.full((40, 30, 3), 90, np.uint8)
    assert next(small(image, True, 1, tmp_path))["predictions"][0].img_path is None
    assert sorted(path.name for path in tmp_path.rglob("0*")) == ["00000000.jpg", "00000000.json"]


@pytest.mark.parametrize(
    "option",
    [
        {"use_oks_tracking": True},
        {"tracking_thr": 0.5},
        {"disable_norm_pose_2d": True},
        {"disable_rebase_keypoint": True},
        {"num_instances": -1},
    ],
)
def test_options_of_3d_models_are_refused(small: MMPoseInferencer, option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(option))} applies to 3D models only"):
        small("a.jpg", **option)


def test_defaults_may_be_spelled_out(small: MMPoseInferencer) -> None:
    image = np.full((40, 30, 3), 90, np.uint8)
    results = small(
        image, show=False, wait_time=0, radius=3, thickness=1, kpt_thr=0.3, draw_bbox=False,
        draw_heatmap=False, black_background=False, skeleton_style="mmpose",
        use_oks_tracking=False, tracking_thr=0.3, disable_norm_pose_2d=False,
        disable_rebase_keypoint=False, num_instances=1, return_vis=False, vis_out_dir="",
        return_datasamples=False, pred_out_dir="", out_dir="", bbox_thr=0.3, nms_thr=0.3,
        bboxes=[], pose_based_nms=False, batch_size=1,
    )  # fmt: skip
    assert len(next(results)["predictions"]) == 1


def test_a_drawing_of_a_given_name(
    small: MMPoseInferencer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.full((40, 30, 3), 90, np.uint8)
    next(small(image, vis_out_dir=str(tmp_path / "new" / "a.jpg")))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.jpg"]
    assert len(list(small([image, image], vis_out_dir=str(tmp_path / "two" / "a.jpg")))) == 2
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["a.jpg", "a_jpg.jpg"]
    assert "a.jpg is taken" in caplog.text


def test_predictions_of_a_given_name_are_in_a_folder_as_the_references(
    small: MMPoseInferencer, picture: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    next(small(picture, pred_out_dir=str(tmp_path / "a.json")))
    assert (tmp_path / "a.json" / "picture.json").is_file()
    assert f"pred_out_dir is a folder: predictions are in {tmp_path}/a.json/" in caplog.text


def test_samples_without_heat_maps_say_who_has_them(
    small: MMPoseInferencer, picture: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sample = next(small(picture, return_datasamples=True, draw_heatmap=True))["predictions"][0]
    assert "pred_fields" not in sample
    assert "samples of an inferencer have no heatmaps: inference_topdown gives" in caplog.text


@pytest.mark.parametrize(
    ("option", "nearest"),
    [("vis_outdir", "vis_out_dir"), ("return_datasample", "return_datasamples")],
)
def test_unknown_arguments_have_a_nearest(
    small: MMPoseInferencer, option: str, nearest: str
) -> None:
    with pytest.raises(InputError, match=f"unknown argument '{option}'; did you mean {nearest}"):
        small("a.jpg", **{option: True})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "name a model"),
        ({"pose2d_weights": "a.pth"}, "name a model"),
        ({"pose2d": "human3d"}, "human3d is a 3D model: pass it as pose3d"),
        ({"pose2d": "hand3d"}, "hand3d is a 3D model: pass it as pose3d"),
        ({"pose3d": "human"}, "human is a 2D model: pass it as pose2d"),
        ({"pose2d": "rtmdet-m_person-640"}, "is a detector: pass it as det_model"),
        ({"pose2d": "human", "pose3d_weights": "a.pth"}, "no pose3d to load them into"),
        ({"pose2d": "human", "det_cat_ids": ["person"]}, "must be class numbers"),
        ({"pose2d": "human", "det_cat_ids": "0"}, "must be class numbers"),
        ({"pose2d": "custom/name.yaml"}, "path <folder>/model/<name>.yaml"),
    ],
)
def test_contradicting_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MMPoseInferencer(**arguments)


@pytest.mark.parametrize("make", [MMPoseInferencer, init_model])
def test_a_model_of_ones_own_without_keypoints_is_no_detector(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "model" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(
        yaml.safe_dump({k: v for k, v in read_config("human").items() if k != "keypoints"})
    )
    with pytest.raises(InputError, match=r"mine\.yaml: keypoints is missing"):
        make(path)


def test_unknown_models() -> None:
    with pytest.raises(UnknownModelError, match="did you mean human"):
        MMPoseInferencer("humann")


def test_scope_is_ignored(rtmpose_t_pth: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="posekit.mmpose.inferencer")
    MMPoseInferencer(SMALL, rtmpose_t_pth, device="cpu", det_model="whole_image", scope="mmdet")
    assert [record.message for record in caplog.records].count(
        "scope 'mmdet' is ignored: posekit has no registries"
    ) == 1


@pytest.mark.parametrize(
    ("alias", "detector", "categories"),
    [
        ("human", "rtmdet-m_person-640", (0,)),
        ("hand", "rtmdet-nano_hand-320", (0,)),
        ("face", "yolox-s_face-640", (0,)),
        ("animal", "rtmdet-m_coco-640", tuple(range(15, 24))),
    ],
)
def test_a_detector_alias_brings_its_classes(
    alias: str, detector: str, categories: tuple[int, ...], rtmpose_t_pth: Path, user: Path
) -> None:
    publish(detector)
    inferencer = MMPoseInferencer(SMALL, rtmpose_t_pth, device="cpu", det_model=alias)
    assert inferencer.det_cat_ids == categories
    assert inferencer.predictor.detector is not None
    assert inferencer.predictor.detector.classes == tuple(read_config(detector)["classes"])
    grey = np.full((60, 80, 3), 128, np.uint8)
    (instances,) = next(inferencer(grey))["predictions"]
    assert instances[0]["bbox"] == ([0.0, 0.0, 80.0, 60.0],)


def test_hands_in_3d_may_have_a_detector(user: Path) -> None:
    publish("internet-r50_interhand3d-256x256")
    publish("rtmdet-nano_hand-320")
    inferencer = MMPoseInferencer(pose3d="hand3d", det_model="hand", device="cpu")
    assert inferencer.predictor.detector is not None
    assert inferencer.predictor.detector.classes == ("hand",)
    grey = np.full((60, 80, 3), 128, np.uint8)
    ((instance,),) = next(inferencer(grey))["predictions"]
    assert np.shape(instance["keypoints"]) == (42, 3)
    assert instance["bbox"] == ([0.0, 0.0, 80.0, 60.0],)
    assert next(inferencer(grey, empty="none"))["predictions"] == [[]]


@pytest.mark.parametrize("ids", [np.int64(0), np.array([0]), [np.int64(0)], range(1)])
def test_classes_may_be_numpy_numbers(rtmpose_t_pth: Path, ids: Any) -> None:
    inferencer = MMPoseInferencer(
        SMALL, rtmpose_t_pth, device="cpu", det_model="whole_image", det_cat_ids=ids
    )
    assert inferencer.det_cat_ids == (0,)


def test_a_progress_bar(rtmpose_t_pth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [np.full((40, 30, 3), 90, np.uint8)] * 3
    for wanted in (False, True):
        inferencer = MMPoseInferencer(
            SMALL, rtmpose_t_pth, device="cpu", det_model="whole_image", show_progress=wanted
        )
        capsys.readouterr()
        assert len(list(inferencer(images))) == 3
        shown = capsys.readouterr().err
        assert ("3frame" in shown) if wanted else (shown == "")
    assert len(list(inferencer(images, show_progress=False))) == 3
    assert capsys.readouterr().err == ""


# --- the model interface --------------------------------------------------------------------------


def test_results_equal_the_predictors(
    model: TopdownModel, rtmpose_t_pth: Path, picture: Path
) -> None:
    boxes = [[10.0, 20.0, 110.0, 220.0], [100.0, 50.0, 400.0, 420.0], [-20.0, -20.0, 90.0, 70.0]]
    predictor = posekit.load(
        SMALL, weights=rtmpose_t_pth, detector="whole_image", device="cpu", speed="accurate"
    )
    expected = next(predictor.stream(picture, bboxes=boxes))
    samples = inference_topdown(model, picture, boxes)
    assert len(samples) == 3
    for row, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.pred_instances.bboxes, [boxes[row]])
    keypoints, scores = (
        np.concatenate([sample.pred_instances[key] for sample in samples])
        for key in ("keypoints", "keypoint_scores")
    )
    assert_same_poses(keypoints, scores, expected.keypoints, expected.keypoint_scores)


def test_a_sample_has_the_documented_fields(model: TopdownModel, picture: Path) -> None:
    (sample,) = inference_topdown(model, str(picture))
    shape = repr(sample)
    assert re.findall(r"^ {4}(\w+):", shape, re.MULTILINE) == [
        "ori_shape", "img_path", "input_size", "flip_indices", "img_shape",
        "gt_instances", "gt_instance_labels", "pred_instances",
    ]  # fmt: skip
    assert re.findall(r"^ {12}(\w+):", shape, re.MULTILINE) == [
        "bboxes", "bbox_centers", "bbox_scales", "bbox_scores",
        "keypoints", "bbox_scores", "bboxes", "keypoint_scores", "keypoints_visible",
    ]  # fmt: skip
    # The documented numbers of a whole image of 640 x 425.
    true = sample.gt_instances
    np.testing.assert_array_equal(true.bboxes, [[0, 0, 640, 425]])
    np.testing.assert_array_equal(true.bbox_centers, [[320, 212.5]])
    np.testing.assert_allclose(true.bbox_scales, [[800, 1066.6666]], rtol=1e-6)
    found = sample.pred_instances
    assert found.keypoints.dtype == np.float64 and found.keypoints.shape == (1, 17, 2)
    assert found.keypoint_scores.dtype == np.float32
    np.testing.assert_array_equal(found.keypoint_scores, found.keypoints_visible)


def test_boxes_by_corner_and_size(model: TopdownModel, picture: Path) -> None:
    image = imread(picture)
    (corners,) = inference_topdown(model, image, np.array([[10, 20, 110, 220]]), "xyxy")
    (sized,) = inference_topdown(model, image, [[10, 20, 100, 200, 0.5]], bbox_format="xywh")
    found = [
        (sample.pred_instances.keypoints, sample.pred_instances.keypoint_scores)
        for sample in (corners, sized)
    ]
    assert_same_poses(*found[0], *found[1])
    assert corners.img_path is None
    assert sized.pred_instances.bbox_scores == 0.5 and corners.pred_instances.bbox_scores == 1
    with_graph = torch.tensor([[10.0, 20, 110, 220]], requires_grad=True)
    (of_tensor,) = inference_topdown(model, image, with_graph)
    assert_same_poses(
        *found[0], of_tensor.pred_instances.keypoints, of_tensor.pred_instances.keypoint_scores
    )


def test_no_box_is_the_whole_image(model: TopdownModel, picture: Path) -> None:
    for none in (None, [], np.zeros((0, 4))):
        (sample,) = inference_topdown(model, picture, none)
        assert sample.pred_instances.bboxes.tolist() == [[0, 0, 640, 425]]


@pytest.mark.parametrize(
    ("boxes", "form", "message"),
    [
        ([1, 2, 3, 4], "xyxy", r"must be \(n, 4\) or \(n, 5\), found \(4,\)"),
        ([["a", 2, 3, 4]], "xyxy", "must be numbers"),
        (5, "xyxy", r"must be \(n, 4\) or \(n, 5\), found \(\)"),
        ([[0, 0, float("nan"), 4]], "xyxy", "finite"),
        ([[10, 10, 5, 20]], "xyxy", "is bbox_format the right one"),
        ([[0, 0, 4, 4]], "cxcywh", "'xyxy' or 'xywh', found 'cxcywh'"),
    ],
)
def test_wrong_boxes(
    model: TopdownModel, picture: Path, boxes: Any, form: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        inference_topdown(model, picture, boxes, form)


def test_the_flip_test_can_be_turned_off(
    model: TopdownModel, rtmpose_t_pth: Path, picture: Path
) -> None:
    def scores(of: TopdownModel) -> np.ndarray:
        return inference_topdown(of, picture)[0].pred_instances.keypoint_scores

    dotted = init_model(
        SMALL, rtmpose_t_pth, "cpu", cfg_options={"model.test_cfg.flip_test": False}
    )
    nested = init_model(
        SMALL, rtmpose_t_pth, "cpu", cfg_options={"model": {"test_cfg": {"flip_test": False}}}
    )
    np.testing.assert_allclose(scores(dotted), scores(nested), atol=1e-4)
    assert np.abs(scores(dotted) - scores(model)).max() > 1e-2
    dotted.cfg.model.test_cfg.flip_test = True
    np.testing.assert_allclose(scores(dotted), scores(model), atol=1e-4)


def test_other_cfg_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"found model\.backbone\.depth=50"):
        init_model(SMALL, cfg_options={"model": {"backbone": {"depth": 50}}})
    with pytest.raises(InputError, match="cfg_options must be a dict, found int"):
        init_model(SMALL, cfg_options=5)


def test_models_that_are_not_initialised() -> None:
    with pytest.raises(
        InputError, match=r"is a 3D model of hands: MMPoseInferencer\(pose3d='hand3d"
    ):
        init_model("hand3d")
    with pytest.raises(InputError, match="found dict"):
        init_model({"model": {}})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is a detector"):
        init_model("rtmdet-m_person-640")


# The reference has a number of them; `official_skeletons.json` holds those of the official files.
REFERENCES = (
    *("300w", "300wlp", "aflw", "aic", "animalpose", "ap10k", "coco", "coco_openpose"),
    *("coco_wholebody", "coco_wholebody_face", "coco_wholebody_hand", "coco_wholebody_openpose"),
    *("cofw", "crowdpose", "h36m", "halpe", "halpe26", "humanart", "interhand2d", "interhand3d"),
    *("jhmdb", "lapa", "macaque", "mpii", "ochuman", "onehand10k", "posetrack18", "rhd2d", "wflw"),
)


@pytest.mark.parametrize("name", REFERENCES)
def test_dataset_meta_equals_the_references(shared: Path, name: str) -> None:
    expected = json.loads((shared / "reference" / "metainfo" / f"{name}.json").read_text())
    found = dataset_meta(load_skeleton(name))
    assert found["dataset_name"] == expected["dataset_name"]
    assert found["num_keypoints"] == expected["num_keypoints"]
    names = {str(i): keypoint for i, keypoint in found["keypoint_id2name"].items()}
    assert names == expected["keypoint_id2name"]
    for key in ("flip_indices", "upper_body_ids", "lower_body_ids", "skeleton_links"):
        assert [list(np.ravel(row)) for row in found[key]] == [
            list(np.ravel(row)) for row in expected[key]
        ]
    for key in ("keypoint_colors", "skeleton_link_colors"):
        np.testing.assert_array_equal(np.ravel(found[key]), np.ravel(expected[key]))
    for key in ("sigmas", "dataset_keypoint_weights"):
        np.testing.assert_allclose(found[key], expected[key] or [], atol=1e-6)
        assert found[key].dtype == np.float32
    for key, value in (expected.get("stats_info") or {}).items():
        np.testing.assert_array_equal(found["stats_info"][key], value)
    assert found["keypoint_colors"].dtype == found["skeleton_link_colors"].dtype == np.uint8
    assert {type(i) for i in found["keypoint_id2name"]} == {int}
    assert {type(link) for link in found["skeleton_links"]} <= {tuple}
    flips = expected["flip_indices"]
    assert found["flip_pairs"] == [(there, i) for i, there in enumerate(flips) if i != there]
    assert json.loads(json.dumps(found, default=lambda array: array.tolist()))["dataset_name"]


# --- drawing --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(shared: Path) -> dict[str, Any]:
    """The inputs of the reference's drawings."""
    return json.loads((shared / "reference" / "visualization" / "inputs.json").read_text())


def picture_of(shared: Path, name: str) -> np.ndarray:
    """A drawing of the reference, RGB."""
    return imread(shared / "reference" / "visualization" / name, channel_order="rgb")


def assert_same_drawing(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for rounding: that of blended colours may change with the processor."""
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "metainfo",
    ["coco", "config/_base_/datasets/coco.py", r"configs\_base_\datasets\coco.py", None, "meta"],
)
@pytest.mark.parametrize("style", ["mmpose", "openpose"])
def test_visualize_draws_as_the_reference(
    shared: Path, drawn: dict[str, Any], metainfo: Any, style: Any
) -> None:
    path = shared / "images" / drawn["image"]
    meta = dataset_meta(load_skeleton("coco")) if metainfo == "meta" else metainfo
    for image in (str(path), imread(path)):
        found = visualize(
            image, drawn["keypoints"], drawn["keypoint_scores"], metainfo=meta,
            skeleton_style=style,
        )  # fmt: skip
        assert_same_drawing(found, picture_of(shared, f"{style}.png"))


def test_visualizer_draws_as_the_reference(shared: Path, drawn: dict[str, Any]) -> None:
    visualizer = VISUALIZERS.build(
        {"type": "PoseLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}], "radius": 4}
    )
    visualizer.line_width = 2
    visualizer.set_dataset_meta(dataset_meta(load_skeleton("coco")))
    found = visualize(
        shared / "images" / drawn["image"], np.array(drawn["keypoints"][0]),
        np.array(drawn["keypoint_scores"][0]), visualizer=visualizer,
    )  # fmt: skip
    expected = picture_of(shared, "mmpose_radius4_thickness2.png")
    assert_same_drawing(found, expected)
    np.testing.assert_array_equal(visualizer.get_image(), found)


def test_visualizer_options(model: TopdownModel, picture: Path, tmp_path: Path) -> None:
    image = imread(picture, channel_order="rgb")
    sample = merge_data_samples(inference_topdown(model, picture, PERSON * 2))
    visualizer = VISUALIZERS.build(model.cfg.visualizer)
    visualizer.set_dataset_meta(model.dataset_meta)

    def draw(**options: Any) -> np.ndarray:
        visualizer.add_datasample("result", image, data_sample=sample, **options)
        return visualizer.get_image()

    plain = draw(out_file=tmp_path / "new" / "drawing.png")
    np.testing.assert_array_equal(
        imread(tmp_path / "new" / "drawing.png", channel_order="rgb"), plain
    )
    np.testing.assert_array_equal(draw(draw_pred=False), image)
    np.testing.assert_array_equal(draw(kpt_thr=1e9), image)
    assert (draw(draw_bbox=True) != plain).any()
    assert (draw(show_kpt_idx=True) != plain).any()
    assert (draw(skeleton_style="openpose") != plain).any()
    with_links_only = copy.copy(visualizer)
    with_links_only.kpt_color = None
    visualizer.alpha = 0.0  # of the dots
    np.testing.assert_array_equal(
        draw(), with_links_only.add_datasample("result", image, data_sample=sample)
    )
    visualizer.alpha = 1.0
    sample.gt_instances.set_field(sample.pred_instances.keypoints, "keypoints")
    assert draw().shape == (425, 1280, 3)
    assert draw(draw_gt=False).shape == image.shape


def test_heat_maps_are_drawn_below(shared: Path, user: Path) -> None:
    publish("hrnet-w32_coco-256x192")
    path = user / "tests" / "data" / "coco" / "000000000785.jpg"
    model = init_model(
        "td-hm_hrnet-w32_8xb64-210e_coco-256x192", None, "cpu",
        cfg_options={"model": {"test_cfg": {"output_heatmaps": True, "flip_test": False}}},
    )  # fmt: skip
    sample = merge_data_samples(inference_topdown(model, path, PERSON * 2))
    image = imread(path, channel_order="rgb")
    assert sample.pred_fields.heatmaps.shape == (17, *image.shape[:2])
    visualizer = PoseLocalVisualizer()
    visualizer.add_datasample("result", image, sample, draw_heatmap=True, kpt_thr=1e9)
    height = image.shape[0]
    drawing = visualizer.get_image()
    assert drawing.shape == (2 * height, image.shape[1], 3)
    np.testing.assert_array_equal(drawing[:height], image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: visualize("missing.jpg", np.zeros((1, 17, 2))), "missing.jpg"),
        (lambda: visualize(np.zeros((4, 4, 3), np.uint8), [1, 2]), r"must be \(n, K, 2\)"),
        (lambda: visualize(np.zeros((4, 4, 3), np.uint8), np.zeros((1, 17, 2)), metainfo="coca"),
         "did you mean coco"),
        (lambda: visualize(np.zeros((4, 4, 3), np.uint8), np.zeros((1, 17, 2)), metainfo={"a": 1}),
         "must have keypoint_id2name"),
        (lambda: visualize(np.zeros((4, 4, 3), np.uint8), [[1], [1, 2]]), "rows of one length"),
        (lambda: visualize(np.zeros((4, 4, 3), np.uint8), "nose"), "expected numbers"),
        (lambda: VISUALIZERS.build({"type": "UniversalVisualizer"}), "UniversalVisualizer"),
        (lambda: MMPoseInferencer(3), "model's name or its configuration's path, found 3"),
        (
            lambda: visualize(np.zeros((9, 9, 3), np.uint8), np.zeros((1, 5, 2)), None, "coco"),
            "metainfo has another number of keypoints than the 5 to draw",
        ),
        (lambda: VISUALIZERS.build(None), "configuration is a dict, found NoneType"),
        (lambda: VISUALIZERS.build({"line_with": 2}), "unknown argument 'line_with'"),
        (lambda: PoseLocalVisualizer().get_image(), "nothing has been drawn"),
        (lambda: imread("a.jpg", channel_order="gbr"), "'bgr' or 'rgb'"),
        (lambda: imread(None), "path, a URL or an array"),
    ],
)  # fmt: skip
def test_mistakes_have_clear_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_a_drawing_that_cannot_be_written(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    (tmp_path / "file").touch()
    for name, message in (("drawing.txt", "jpg or .png"), ("file/drawing.png", "cannot write")):
        with pytest.raises(InputError, match=message):
            PoseLocalVisualizer().add_datasample(
                "result", image, PoseDataSample(), out_file=tmp_path / name
            )
