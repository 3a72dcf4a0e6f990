"""The command line as a user has it: another process, in another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from posekit.cli import main
from tests.processes import run_python


def posekit(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `posekit ...` with an empty cache and no network."""
    return run_python(
        *("-m", "posekit", *arguments),
        cwd=cwd,
        env={
            **os.environ,
            "POSEKIT_CACHE": str(cwd / "cache"),
            "HF_HUB_OFFLINE": "1",
            **environment,
        },
    )


@pytest.fixture
def whole_image(rtmpose_t: Path) -> list[str]:
    """The smallest model without a detector."""
    return [
        "model=rtmpose-t_body8-256x192",
        f"weights={rtmpose_t}",
        "detector=whole_image",
        "device=cpu",
    ]


def picture(path: Path) -> Path:
    _, data = cv2.imencode(".png", np.full((64, 48, 3), 128, np.uint8))
    path.write_bytes(data.tobytes())
    return path


def test_predict_reproduces_the_reference_from_the_files_alone(
    shared: Path, rtmpose_m: Path, person_detector: Path, tmp_path: Path
) -> None:
    name = "000000040083"
    done = posekit(
        "predict",
        "model=human",
        f"weights={rtmpose_m}",
        "detector=rtmdet-nano_person-320",
        f"detector_weights={person_detector}",
        f"inputs={shared / 'images' / name}.jpg",
        "out_dir=out",
        "device=cpu",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "2 instances in 1 images" in done.stdout
    found = json.loads((tmp_path / "out" / "predictions" / f"{name}.json").read_text())
    path = shared / "reference" / "inferencer"
    path /= f"rtmpose-m_8xb256-420e_body8-256x192__{name}.json"
    expected = json.loads(path.read_text())["result"]["predictions"][0]
    assert [list(instance) for instance in found] == [list(instance) for instance in expected]
    for instance, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(instance["bbox"], wanted["bbox"], atol=0.5)
    photograph = cv2.imread(str(shared / "images" / f"{name}.jpg"))
    drawing = cv2.imread(str(tmp_path / "out" / "visualization" / f"{name}.jpg"))
    assert drawing.shape == photograph.shape
    assert (np.abs(drawing.astype(int) - photograph).max(axis=2) > 60).sum() > 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out"]


def test_a_folder_with_a_bad_file_does_the_rest_and_says_so(
    whole_image: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a(1).png", "b,c.png", "x=1.png"):
        picture(folder / name)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    done = posekit("predict", *whole_image, "inputs=in", "out_dir=out", cwd=tmp_path)
    assert done.returncode == 1
    assert "3 instances in 3 images" in done.stdout
    assert "skipped: in/broken.png is truncated" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out" / "predictions").iterdir()) == [
        "a(1).json",
        "b,c.json",
        "x=1.json",
    ]


def test_a_reader_that_has_seen_enough_is_no_success(tmp_path: Path) -> None:
    # What follows what was read may be missing: here all figures and the file of them.
    options = ["model=rtmdet-nano_drawn-256", "rounds=1", "backends=[torch]", "direct=false"]
    options += ["batch_sizes=[1]"]
    command = [sys.executable, "-m", "posekit", "bench", *options, "device=cpu", "out=b.json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 141
    assert not (tmp_path / "b.json").exists()


def test_on_error_raise_stops(
    whole_image: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.png").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *whole_image, "inputs=a.png", "on_error=raise"]) == 1
    error = capsys.readouterr().err
    assert error.strip().splitlines()[-1] == "posekit: error: a.png is empty"


def test_names_with_hydras_characters(
    whole_image: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture(tmp_path / "clip(1), x=2.png")
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *whole_image, "inputs=clip(1), x=2.png"]) == 0
    assert "clip(1), x=2.png" in capsys.readouterr().out


def test_no_network_and_no_cache_lists_what_was_tried(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    done = posekit("predict", "model=human", "inputs=a.png", cwd=tmp_path)
    assert done.returncode == 1
    for part in ("rtmpose-m_body8-256x192", "e48f03d0_20230504.pth", "HF_HUB_OFFLINE", "weights="):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["inputs=none.png"], "no such file: none.png"),
        (["inputs=empty"], "no images in the folder empty"),
        (["inputs=."], "no images in the folder ."),
        (["model=humann", "inputs=a.png"], "unknown model 'humann'; did you mean human"),
        (["inputs=a.png", "kpt_th=1"], "unknown key 'kpt_th'; did you mean kpt_thr"),
        (["inputs=a.png", "batch_size=0"], "batch_size must be"),
        (
            ["inputs=a.png", "det_interval=often"],
            "det_interval must be auto or a whole number of at least 1, or left out, found 'often'",
        ),
        (["inputs=a.png", "speed=fastest"], "speed must be one of accurate, balanced, fast, found"),
        (
            ["inputs=a.png", "model.flip_test=true"],
            "model.flip_test=true has no effect with speed=balanced: set flip_test=true, or",
        ),
        (["inputs=a.png", "model.flip_test=true", "speed=accurate"], "no such file: a.png"),
        (["inputs=a.png", "model.flip_test=true", "flip_test=false"], "no such file: a.png"),
        (["inputs=a.png", "model.flip_test=false"], "no such file: a.png"),
        (["inputs=sub/a.png", "out_dir=file/out"], "cannot write to the folder file/out"),
        (["inputs=sub/a.png", "weights=none.pth"], "none.pth"),
        (["a.png"], "expected key=value, found 'a.png'"),
        (["inputs=a.png", "formats=csv,coco"], "several values: a list is formats=[csv,coco]"),
        (["inputs=a.png", "out=b"], "unknown key 'out'; did you mean out_dir?"),
        (["model=human"], "inputs is missing"),
        (["model=demo", "inputs=[]"], "inputs is empty"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rtmpose_m: Path,
    arguments: list[str],
    message: str,
) -> None:
    for folder in ("empty", "sub"):
        (tmp_path / folder).mkdir()
    picture(tmp_path / "sub" / "a.png")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    weights = [] if any(a.startswith("weights=") for a in arguments) else [f"weights={rtmpose_m}"]
    if arguments == ["a.png"]:
        weights = []
    status = main(["predict", *arguments, *weights, "detector=whole_image", "device=cpu"])
    captured = capsys.readouterr()
    assert status == 1
    assert message in captured.err
    assert len(captured.err.strip().splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize("arguments", [["inputs=a.png", "show=true"], ["inputs=webcam"]])
def test_no_display_is_an_error_before_weights_are_fetched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    picture(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    status = main(["predict", "model=human", *arguments, "weights=none.pth", "device=cpu"])
    assert status == 1
    assert "cannot open a window" in capsys.readouterr().err


def test_no_command_at_all_is_told_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0 and "find poses in images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "missing"),
    [("labels", "source"), ("push", "folder, repository"), ("import", "config")],
)
def test_only_what_is_required_is_called_missing(
    command: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command])
    assert capsys.readouterr().err.endswith(f"are required: {missing}\n")


def test_overrides_may_follow_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["predict", "model=demo", "--config-dir", str(tmp_path), "kpt_thr=0.7", "--cfg"]) == 0
    )
    assert "kpt_thr: 0.7" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "model=demo", "--nope", "kpt_thr=0.7"])
    assert stopped.value.code == 2
    assert "unrecognized arguments: --nope" in capsys.readouterr().err


def test_models_lists_names_aliases_tasks_sizes_and_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models"]) == 0
    line = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("rtmpose-m_body8-256x192 ")
    )
    for part in ("human, body, body17", "body", "256x192", "Body8 AP 0.749"):
        assert part in line


def test_models_can_be_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "wholebody"]) == 0
    assert "rtmw-l_cocktail14-384x288" in capsys.readouterr().out
    assert main(["models", "nothing like it"]) == 1


def test_models_can_be_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    filters = ["--task", "body", "--max-params", "10", "--licence", "apache-2.0"]
    assert main(["models", *filters, "--keypoints", "coco", "--size", "256x192"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert any(line.startswith("rtmpose-s_body8-256x192 ") for line in lines)
    assert not any(line.startswith(("rtmpose-m", "vitpose")) for line in lines)
    assert main(["models", "hrnet", *filters]) == 1
    assert "no model matches 'hrnet' --task body --max-params 10.0" in capsys.readouterr().err
    assert main(["models", "--task", "body", "--show-alias"]) == 0
    assert "dwpose" not in capsys.readouterr().out
    assert main(["models", "--task", "body", "--markdown"]) == 1


def test_show_alias(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--show-alias"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("human "))
    assert "rtmpose-m_8xb256-420e_body8-256x192" in line


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["predict", "--help"]])
def test_help_and_models_do_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom posekit.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'cv2', 'hydra'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_cfg_prints_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--cfg", "model=body26", "kpt_thr=0.5"]) == 0
    text = capsys.readouterr().out
    for part in ("model: rtmpose-m_body8-halpe26-256x192", "kpt_thr: 0.5", "pose_batch_size: 64"):
        assert part in text


def test_batch_does_the_rest_and_says_what_failed(
    clip_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    here = ["workers=0", "threads=1", "backend=eager", "device=cpu", "detector=whole_image"]
    command = ["batch", "model=demo", "inputs=clips", "out_dir=out", *here]
    assert main(command) == 1
    assert "cam/b.mp4  failed  neither an image nor a video" in capsys.readouterr().out
    assert (tmp_path / "out" / "cam" / "a.png.parquet").is_file()
    (clip_folder / "cam" / "b.mp4").unlink()
    assert main(command) == 0
    assert "0 tried in" in capsys.readouterr().out
    assert main([*command, "bbox_thr=0.5"]) == 1
    other = capsys.readouterr()
    assert other.out == ""
    assert "has results of other settings: bbox_thr unset -> 0.5" in other.err


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    """A picture and a file that is none."""
    pytest.importorskip("pyarrow")
    folder = tmp_path / "clips"
    (folder / "cam").mkdir(parents=True)
    picture(folder / "cam" / "a.png")
    (folder / "cam" / "b.mp4").write_bytes(b"no video")
    return folder


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be deleted")
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("posekit.cli", "batch model=demo inputs=a.mp4 out_dir=out"),
        ("weights_convert.__main__", "a.pth --model demo"),
    ],
)
def test_a_working_folder_that_was_deleted(module: str, words: str, tmp_path: Path) -> None:
    program = f"""
import os, sys
from {module} import main
os.rmdir(os.getcwd())
sys.exit(main({words.split()}))
"""
    (tmp_path / "gone").mkdir()
    done = run_python("-c", program, cwd=tmp_path / "gone")
    assert done.returncode == 1
    assert done.stderr.endswith("error: the working folder was deleted: change to another one\n")
    assert done.stderr.count("\n") == 1
