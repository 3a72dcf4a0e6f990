"""Formats of predictions: found by their files, or brought along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import posekit
from posekit.errors import InputError
from posekit.files import prediction_formats
from posekit.io import Clip
from posekit.io.sinks import Run, Sink, load_format
from posekit.stages.packet import Packet


def test_every_format_of_the_folder_can_be_loaded() -> None:
    assert {"json", "jsonl"} <= set(prediction_formats())
    assert not {"pictures", "video"} & set(prediction_formats())
    for name in prediction_formats():
        assert load_format(name).file_name("a.jpg", None).startswith("a")
    with pytest.raises(InputError, match=r"a format must be one of .*json, jsonl.*'xml'"):
        load_format("xml")


def test_names_of_formats_load_none_of_them() -> None:
    code = (
        "import sys; from posekit.files import prediction_formats; prediction_formats();"
        "assert not {'cv2', 'av', 'torch', 'posekit.io'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_format_of_ones_own(small: posekit.Predictor, tmp_path: Path) -> None:
    class Counts:
        def file_name(self, name: str, clip: Clip | None) -> str:
            return f"{Path(name).stem}.txt"

        def open_sink(self, path: Path, clip: Clip | None, run: Run) -> Sink:
            return Count(path)

    class Count(Sink):
        def __init__(self, path: Path) -> None:
            self.path = path

        def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
            self.path.write_text(f"{len(packet.result)} in {packet.result.name}")

        def close(self, complete: bool) -> None:
            pass

    image = np.zeros((32, 32, 3), np.uint8)
    for _ in small.stream(image, pred_out_dir=tmp_path, pred_format=Counts()):
        pass
    assert (tmp_path / "00000000.txt").read_text() == "1 in 00000000.jpg"
