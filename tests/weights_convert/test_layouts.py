"""Files as other programs write them, recognised by their content and converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import posekit
from tests.networks import (
    LAYOUTS,
    assert_small,
    reference_case,
    reference_state,
    relative_errors,
)
from weights_convert import ConversionError, convert_file


def as_transformers(state: dict[str, Any], path: Path) -> None:
    save_file(state, path, metadata={"format": "pt"})


def as_motionbert(state: dict[str, Any], path: Path) -> None:
    wrapped = {f"module.{key}": value for key, value in state.items()}
    torch.save({"epoch": 29, "lr": 1e-4, "optimizer": {"state": {}}, "model_pos": wrapped}, path)


def as_yolox(state: dict[str, Any], path: Path) -> None:
    torch.save({"start_epoch": 300, "model": state, "optimizer": {"state": {}}}, path)


def as_vitpose(state: dict[str, Any], path: Path) -> None:
    torch.save({"meta": {"epoch": 210}, "state_dict": state}, path)


@pytest.mark.parametrize(
    "folder, model, write",
    [
        pytest.param(
            "transformers/vitpose-base-simple",
            "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
            as_transformers,
            marks=pytest.mark.slow,  # test_experts.py has a smaller one
        ),
        pytest.param(
            "transformers/vitpose-base",
            "td-hm_ViTPose-base_8xb64-210e_coco-256x192",
            as_transformers,
            marks=pytest.mark.slow,
        ),
        ("vitpose/vitpose-b-coco", "td-hm_ViTPose-base_8xb64-210e_coco-256x192", as_vitpose),
        pytest.param(
            "motionbert/MB_ft_h36m",
            "human3d",
            as_motionbert,
            marks=pytest.mark.slow,  # the one below is a third of it
        ),
    ],
)
def test_a_file_of_another_program(
    shared: Path,
    tmp_path: Path,
    folder: str,
    model: str,
    write: Callable[[dict[str, Any], Path], None],
) -> None:
    case = reference_case(shared / "reference" / "layouts" / folder)
    # No suffix: the content decides.
    source, output = tmp_path / "checkpoint", tmp_path / "out.safetensors"
    write(case.state, source)
    convert_file(source, model, output)
    net = posekit.create_model(model, weights=output)
    assert_small(case, relative_errors(case, net), case.tolerance)


@pytest.mark.parametrize(
    "folder, model, write",
    [
        ("yolox/yolox_nano", "yolox_nano_8xb8-300e_coco", as_yolox),
        ("motionbert/MB_ft_h36m_global_lite", "motionbert-lite", as_motionbert),
    ],
)
def test_a_file_of_a_networks_own_authors(
    tmp_path: Path, folder: str, model: str, write: Callable[[dict[str, Any], Path], None]
) -> None:
    case = reference_case(LAYOUTS / folder)
    source, output = tmp_path / "best_epoch.bin", tmp_path / "out.safetensors"
    write(case.state, source)
    convert_file(source, model, output)
    net = posekit.create_model(model, weights=output)
    assert_small(case, relative_errors(case, net), case.tolerance)


def test_weights_of_another_family_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.pth"
    as_motionbert(reference_state(LAYOUTS / "motionbert" / "MB_ft_h36m_global_lite"), source)
    with pytest.raises(ConversionError, match="does not fit ViTPose"):
        convert_file(source, "vitpose-b", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
