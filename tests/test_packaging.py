"""The sdist and the wheel hold what they should, and the wheel works by itself elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

from posekit.plain_yaml import read_yaml
from posekit.version import __version__

if sys.version_info >= (3, 11):
    import tomllib as toml
else:
    import tomli as toml

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
assert _spec is not None and _spec.loader is not None
hatch_build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hatch_build)


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Built:
    """What a release uploads, and the wheel that the sdist alone gives."""

    sdist: Path
    wheel: Path
    wheel_of_sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "hatchling", "build", "-d")
    run(*build, folder, "-t", "sdist", "-t", "wheel", cwd=ROOT)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    run(*build, folder / "again", "-t", "wheel", cwd=unpacked)
    return Built(sdist, wheel, folder / "again" / wheel.name)


def test_the_sdist_builds_the_same_wheel(built: Built) -> None:
    assert built.wheel_of_sdist.read_bytes() == built.wheel.read_bytes()


def test_the_wheel_predicts_without_the_checkout(
    built: Built, tmp_path: Path, rtmpose_t: Path
) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    offline = ("--no-deps", "--no-index")
    site = tmp_path / "site"
    run(*pip, "install", *offline, "--target", site, built.wheel, cwd=tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 48, 3), 128, np.uint8))
    text = run(
        sys.executable,
        "-c",
        "import sys, posekit, posekit.cli; print(posekit.__file__); sys.exit(posekit.cli.main())",
        "predict",
        "model=rtmpose-t_body8-256x192",
        f"weights={rtmpose_t}",
        "detector=whole_image",
        "inputs=a.png",
        "out_dir=out",
        cwd=tmp_path,
        PYTHONPATH=str(site),
        POSEKIT_CACHE=str(tmp_path / "cache"),
    )
    assert text.startswith(str(site))
    assert (tmp_path / "out" / "predictions" / "a.json").stat().st_size > 500
    assert "rtmpose-m_body8-256x192" in run(
        sys.executable, "-m", "posekit", "models", cwd=tmp_path, PYTHONPATH=str(site)
    )
    assert "--model" in run(
        sys.executable, "-m", "weights_convert", "--help", cwd=tmp_path, PYTHONPATH=str(site)
    )


def test_what_the_wheel_holds(built: Built) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    about = f"posekit-{__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"posekit", "weights_convert", about}
    files = [ROOT / "posekit" / "py.typed", ROOT / "weights_convert" / "py.typed"]
    files += (ROOT / "posekit").rglob("*.py")
    files += (ROOT / "weights_convert").rglob("*.py")
    files += (path for path in (ROOT / "posekit" / "packaged").iterdir() if path.is_file())
    expected = {path.relative_to(ROOT).as_posix() for path in files}
    conf = (path for path in (ROOT / "conf").rglob("*") if path.is_file())
    expected |= {f"posekit/{path.relative_to(ROOT).as_posix()}" for path in conf}
    assert len(expected) > 700
    assert not expected - names
    assert f"{about}/licenses/LICENSE" in names


def test_what_the_sdist_holds(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = archive.getnames()
    top = {name.split("/")[1] for name in names}
    assert {"tests", "docs", "benchmarks", "examples", "Makefile", "CITATION.cff"} <= top
    assert not top & {".git", ".venv", "out", "dist", "build"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_index_gets_a_readme_that_it_can_show(built: Built) -> None:
    archive = zipfile.ZipFile(built.wheel)
    metadata = archive.read(f"posekit-{__version__}.dist-info/METADATA").decode()
    assert "Description-Content-Type: text/markdown" in metadata
    assert "pip install posekit" in metadata
    prose = re.sub(r"^```.*?^```$", "", metadata, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)]+)\)", prose)
    assert not [target for target in targets if not target.startswith(("https://", "#"))]


HOST = "https://host.example/o/posekit"
FILES = f"{HOST}/blob/v1.0"


@pytest.mark.parametrize(
    ("text", "linked", "plain"),
    [
        ("[a](docs/a.md#b)", f"[a]({FILES}/docs/a.md#b)", "a"),
        ("[`a`](LICENSE), [b](b)", f"[`a`]({FILES}/LICENSE), [b]({FILES}/b)", "`a`, b"),
        ("![alt](a.png)", f"![alt]({HOST}/raw/v1.0/a.png)", "alt"),
        (
            "[![alt](a.png)](a.md)",
            f"[![alt]({HOST}/raw/v1.0/a.png)]({FILES}/a.md)",
            "alt",
        ),
        ('<img src="a.png">', f'<img src="{HOST}/raw/v1.0/a.png">', '<img src="a.png">'),
        ("[a](https://b.example/)", "[a](https://b.example/)", "[a](https://b.example/)"),
        ("[a](#b)", "[a](#b)", "[a](#b)"),
        ("```\nd[a](b)\n```\n", "```\nd[a](b)\n```\n", "```\nd[a](b)\n```\n"),
    ],
)
def test_links_of_the_readme(text: str, linked: str, plain: str) -> None:
    assert hatch_build.readme_for_index(text, HOST, "1.0") == linked
    assert hatch_build.readme_for_index(text, None, "1.0") == plain


def test_one_line_names_the_repository() -> None:
    citation = f'title: posekit\nrepository-code: "{HOST}/"\n'
    assert hatch_build.repository_of(citation) == HOST
    assert hatch_build.repository_of("title: posekit\n") is None
    urls = hatch_build.urls_of(HOST, "1.0")
    assert urls["Repository"] == HOST and urls["Changelog"] == f"{FILES}/CHANGELOG.md"
    assert hatch_build.urls_of(None, "1.0") == {}


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation


# What conda-forge calls differently.
OF_CONDA = {"pytorch": "torch", "py-opencv": "opencv-python-headless"}


def test_the_recipe_for_conda_needs_what_pip_installs() -> None:
    needs = map(Requirement, pyproject()["project"]["dependencies"])
    expected = {need.name: str(need.specifier) for need in needs if need.marker is None}
    recipe = read_yaml(ROOT / "conda" / "recipe.yaml")
    found = {}
    for line in recipe["requirements"]["run"]:
        name, _, bounds = line.partition(" ")
        found[OF_CONDA.get(name, name)] = bounds
    assert found.pop("python") == ">=${{ python_min }}"
    assert found.pop("ffmpeg") == "* gpl_*"  # av's own, with libx264
    assert found == expected
    scripts = [f"{name} = {what}" for name, what in pyproject()["project"]["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts


def test_the_locks_are_of_the_bounds() -> None:
    lowest, highest = (
        [line.partition(";")[0].strip().partition("==")[::2] for line in text.splitlines()]
        for name in ("lowest", "highest")
        for text in [(ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")]
    )
    pinned = dict(lowest)
    project = pyproject()["project"]
    extras = project["optional-dependencies"]
    (tested,) = (Requirement(line) for line in extras["test"] if line.startswith("posekit["))
    lines = [*project["dependencies"], *extras["test"], *extras["gui"]]
    lines += [line for extra in tested.extras for line in extras[extra]]
    for need in map(Requirement, lines):
        name = need.name.replace("_", "-")
        if name == "posekit":
            continue
        versions = [version for locked, version in highest if locked == name]
        assert versions and all(version in need.specifier for version in versions)
        assert pinned[name] in need.specifier


def test_the_image_is_given_what_the_wheel_is_built_from(built: Built, tmp_path: Path) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in (line[1:] for line in lines if line.startswith("!")):
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / name)
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d")
    run(*build, tmp_path / "dist", cwd=tmp_path)
    assert (tmp_path / "dist" / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def pyproject() -> dict[str, Any]:
    return toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
