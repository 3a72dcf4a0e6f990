"""What differs from the official configurations is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import audit_configs
from posekit.checkpoints import CHECKPOINTS

CODEC = """
codec = dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma={sigma})
steps = [
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'])]
test_dataloader = dict(dataset=dict(pipeline=steps))
train_dataloader = dict(
    dataset=dict(pipeline=steps + [dict(type='GenerateTarget', encoder=codec)]))
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(type='HRNet', extra=dict(
        stage1=dict(num_blocks=(4, )),
        stage2=dict(num_modules=1, num_blocks=(4, 4), num_channels=(18, 36)),
        stage3=dict(num_modules=4, num_blocks=(4, 4, 4), num_channels=(18, 36, 72)),
        stage4=dict(num_modules=3, num_blocks=(4, 4, 4, 4), num_channels=(18, 36, 72, 144)),
        upsample=dict(mode='bilinear'))),
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(type='HeatmapHead', out_channels=29, deconv_out_channels=None,
        conv_out_channels=(270, ), loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec),
    test_cfg=dict(flip_test=True, shift_heatmap=True))
"""


@pytest.mark.parametrize(("sigma", "differences"), [(1.5, 0), (2, 1)])
def test_the_script_tells_what_differs(
    tmp_path: Path,
    sigma: float,
    differences: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    row = next(row for row in CHECKPOINTS if row.name == "hrnetv2-w18_cofw-256x256")
    (tmp_path / "configs" / "face").mkdir(parents=True)
    (tmp_path / "configs" / "face" / f"{row.config}.py").write_text(CODEC.format(sigma=sigma))
    monkeypatch.setattr(audit_configs, "CHECKPOINTS", (row,))
    monkeypatch.setattr(sys, "argv", ["audit_configs", str(tmp_path)])
    assert audit_configs.main() == differences
    printed = capsys.readouterr().out
    assert f"{differences} differences" in printed
    assert (f"{row.name}: codec.sigma is 1.5, official 2" in printed) == bool(differences)


def test_a_missing_official_file_is_told_and_the_table_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(audit_configs, "CHECKPOINTS", CHECKPOINTS[:1])
    monkeypatch.setattr(sys, "argv", ["audit_configs", str(tmp_path)])
    assert audit_configs.main() == 0
    assert "no file rtmpose-m_8xb64-210e_ap10k-256x256.py; the table is used" in (
        capsys.readouterr().out
    )
