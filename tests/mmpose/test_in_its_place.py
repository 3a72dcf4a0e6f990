"""posekit as `mmpose.apis`, for programs that ask for it."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from safetensors.torch import save_file

import posekit
import posekit.apis
from posekit.io.video import VideoWriter

# Nothing of that name is installed: posekit stands under it while the program runs.
STOOD_FOR = "mmpose.apis"
PROGRAM = f"""
from {STOOD_FOR} import MMPoseInferencer

def people(path, **how):
    inferencer = MMPoseInferencer(**how)
    return [person for found in inferencer(path, show=False) for person in found["predictions"][0]]
"""


def test_a_program_that_imports_mmpose_runs(
    rtmpose_t: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, STOOD_FOR, posekit.apis)
    program = ModuleType("program")
    exec(PROGRAM, program.__dict__)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 48, 3), np.uint8))
    (person,) = program.people(
        str(tmp_path / "a.png"),
        pose2d="rtmpose-t_8xb256-420e_body8-256x192",
        pose2d_weights=str(rtmpose_t),
        det_model="whole_image",
        device="cpu",
    )
    assert len(person["keypoints"]) == len(person["keypoint_scores"]) == 17


ESTIMATE = """
import sys
import numpy as np
import posekit.apis

sys.modules["mmpose.apis"] = posekit.apis
from pose_format.utils.mmposewholebody import estimate_mmpose_wholebody

pose = estimate_mmpose_wholebody("clip.mp4", fps=10, width=96, height=128)
again = next(iter(posekit.apis.MMPoseInferencer("wholebody")("clip.mp4")))["predictions"][0]
assert pose.body.data.shape == (2, 1, 133, 2), pose.body.data.shape
assert again, "the detector found nobody"
np.testing.assert_array_equal(pose.body.data.data[0, 0], np.float32(again[0]["keypoints"]))
np.testing.assert_array_equal(pose.body.confidence[0, 0], np.float32(again[0]["keypoint_scores"]))
print([component.name for component in pose.header.components])
"""


@pytest.mark.slow
def test_the_estimator_of_pose_format_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pose_format")
    models = tmp_path / "cache" / "models"
    models.mkdir(parents=True)
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    for name in ("rtmpose-m_coco-wholebody-256x192", "rtmdet-m_person-640"):
        state = posekit.create_model(name).state_dict()
        for key in state:
            # Random weights are sure of nothing; a few people are enough here.
            if ".cls_preds." in key and key.endswith(".bias"):
                state[key] += 3.5
        save_file(state, models / f"{name}.safetensors", metadata={"model": name})
    picture = np.random.default_rng(0).integers(0, 255, (128, 96, 3), np.uint8)
    with VideoWriter(tmp_path / "clip.mp4", fps=Fraction(10), size=(96, 128)) as clip:
        for number in range(2):
            clip.write(picture, number / 10)
    done = subprocess.run(
        [sys.executable, "-c", ESTIMATE], cwd=tmp_path, capture_output=True, text=True
    )
    assert "['BODY', 'FACE', 'LEFT_HAND', 'RIGHT_HAND']" in done.stdout, done.stderr
