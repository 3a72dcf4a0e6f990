"""Exports that several tests look at, each written once."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

import posekit
from posekit.datasets.synthetic import generate_scene
from posekit.exporting import samples
from posekit.exporting.result import ExportResult

# The smallest of their kinds, packaged with their weights.
DRAWN = "rtmpose-n_drawn-192x128"
DRAWN_DETECTOR = "rtmdet-nano_drawn-256"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session", autouse=True)
def scenes_drawn_once() -> Iterator[None]:
    """Every export without inputs draws the same ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "generate_scene", functools.cache(generate_scene))
        yield


@pytest.fixture
def onnx_runtime() -> Any:
    pytest.importorskip("onnx")
    return pytest.importorskip("onnxruntime")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ExportResult]:
    """`posekit.export` into a folder of its own; the same call again gives the same file."""
    done: dict[str, ExportResult] = {}

    def export(model: str, output: str, **options: Any) -> ExportResult:
        key = f"{model} {output} {sorted(options.items())}"
        if key not in done:
            done[key] = posekit.export(model, tmp_path_factory.mktemp("export") / output, **options)
        return done[key]

    return export


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six pictures of drawn people."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(6):
        cv2.imwrite(str(folder / f"{seed}.png"), generate_scene(seed).image)
    return folder


@pytest.fixture
def pose_onnx(onnx_runtime: Any, exported: Callable[..., ExportResult]) -> ExportResult:
    """The raw outputs of the drawn people's model."""
    return exported(DRAWN, "pose.onnx")


@pytest.fixture
def whole_pose_onnx(onnx_runtime: Any, exported: Callable[..., ExportResult]) -> ExportResult:
    """The same with its processing inside."""
    return exported(DRAWN, "pose.onnx", preprocess=True, decode=True)


@pytest.fixture
def whole_people_onnx(onnx_runtime: Any, exported: Callable[..., ExportResult]) -> ExportResult:
    """The drawn people's detector, with its processing inside."""
    return exported(DRAWN_DETECTOR, "people.onnx", preprocess=True, decode=True)


@pytest.fixture
def int8_onnx(
    onnx_runtime: Any, exported: Callable[..., ExportResult], scenes: Path
) -> ExportResult:
    """The drawn people's model in 8 bits."""
    return exported(DRAWN, "pose.onnx", quantize="int8", inputs=str(scenes))


def report_of(result: ExportResult) -> dict[str, Any]:
    """The report that lies beside a file."""
    text = result.path.with_name(f"{result.path.name}.json").read_text(encoding="utf-8")
    report: dict[str, Any] = json.loads(text)
    return report
