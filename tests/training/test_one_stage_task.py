"""Training a one-stage network, from labels to a model that is measured."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

import posekit
from posekit.build import build_network
from posekit.compose import compose_command
from posekit.datasets.batches import collate
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec
from posekit.training.optim import parameter_groups
from posekit.training.tasks import OneStageTask, make_task
from posekit.training.warm_start import initial_network
from tests.datasets import sets
from tests.training import runs

MODEL = {
    "net": {
        "_target_": "posekit.models.rtmo.RTMO",
        "deepen_factor": 0.33,
        "widen_factor": 0.125,
    },
    "input_size": [64, 64],
    "keypoints": "coco",
    "score_threshold": 0.1,
    "nms_threshold": 0.65,
}
OPTIONS = ["model=tiny-64x64", *runs.OPTIONS[1:], "ema=null", "warmup_steps=0"]


def workshop(folder: Path, count: int = 4) -> list[str]:
    """As `runs.workshop`, of a small one-stage network."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "tiny-64x64.yaml").write_text(yaml.safe_dump(MODEL))
    labels = sets.save(folder / "data", sets.coco(count), "discs.json", radius=20)
    return [*OPTIONS, f"dataset.train={labels}", f"dataset.val={labels}"]


def task_of(folder: Path, *overrides: str) -> OneStageTask:
    options = [*workshop(folder), *overrides]
    task = make_task(compose_command("train", options, config_dir=folder / "conf"))
    assert isinstance(task, OneStageTask)
    return task


def test_it_learns_and_the_export_is_measured_the_same(tmp_path: Path) -> None:
    options = [*workshop(tmp_path), "augment=none", "final_part=0", "epochs=40", "val_every=40"]
    run = runs.train(tmp_path, *options, "lr=5e-4", "weight_decay=0", f"out_dir={tmp_path / 'run'}")
    losses = runs.losses(run)
    assert len(losses) == 40
    assert losses[17] < 0.8 * losses[0]  # before the weights of the losses change
    trained = json.loads((run / "export" / "metrics.json").read_text())
    labels = str(tmp_path / "data" / "discs.json")
    again = posekit.evaluate(run, val=labels, device="cpu")
    assert again.metrics == pytest.approx(trained, nan_ok=True)
    assert again.settings["people"] == 4
    predictor = posekit.load(run / "export", device="cpu")
    (result,) = predictor.stream(str(tmp_path / "data" / "0.png"), bbox_thr=0.001)
    assert result.skeleton.names == tuple(sets.NAMES) and result.keypoints.shape[1:] == (5, 2)


def test_a_run_that_resumes_ends_with_the_same_weights(tmp_path: Path) -> None:
    options = [*workshop(tmp_path), "epochs=2", "final_part=0.5", "val_every=2"]
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    parts = [*options, f"out_dir={tmp_path / 'parts'}", "resume=true", "checkpoint_every=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posekit.training.loop._Run._end_epoch", _stop)
        with pytest.raises(KeyboardInterrupt):
            runs.train(tmp_path, *parts)
    resumed = runs.train(tmp_path, *parts)
    expected, found = runs.weights(whole), runs.weights(resumed)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def _stop(self: object, metric_log: object) -> None:
    """The power fails as the first epoch has ended."""
    self.sampler.start_epoch(self.sampler.epoch + 1)  # type: ignore[attr-defined]
    self._save()  # type: ignore[attr-defined]
    raise KeyboardInterrupt


def test_rows_of_all_layers_go_by_the_names_of_keypoints(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = workshop(tmp_path)
    spec = load_spec("tiny-64x64", [tmp_path / "conf"])
    known = build_network(spec.net, device="cpu").state_dict()
    known["classifier.sigma_proj.bias"] = torch.rand(17)  # zeros at first
    path = tmp_path / "known.safetensors"
    save_file({key: value.contiguous() for key, value in known.items()}, path)
    options += [f"weights={path}"]
    config = compose_command("train", options, config_dir=tmp_path / "conf")
    with caplog.at_level(logging.WARNING):
        found = initial_network(make_task(config), config, say=True).state_dict()
    rows = [load_skeleton("coco").names.index(name) for name in sets.NAMES]
    for key, each in (
        ("heads.0.visibility_pred.weight", 1),
        ("heads.1.offset_pred.bias", 2),
        ("classifier.to_tokens.0.weight", 128),
        ("classifier.to_tokens.1.running_var", 128),
        ("classifier.attention.positions", 1),
        ("classifier.sigma_proj.bias", 1),
    ):
        per_keypoint = known[key].unflatten(0, (17, each))
        assert torch.equal(found[key].unflatten(0, (5, each)), per_keypoint[rows]), key
    assert torch.equal(found["heads.0.vector_pred.weight"], known["heads.0.vector_pred.weight"])
    assert "(5 of 5 keypoints keep what the model knows)" in caplog.text


def test_images_of_a_batch_are_trained_in_sizes_that_change(tmp_path: Path) -> None:
    task = task_of(tmp_path, "augment.input_resize=[0.5,2.0]")
    sizes = {task._drawn_size(0) for _ in range(50)}
    assert sizes == {(side, side) for side in (32, 64, 96, 128)}
    task.train_set.augment = None
    assert task._drawn_size(0) == (64, 64)


def test_another_size_changes_the_labels_with_the_pixels(tmp_path: Path) -> None:
    """With blocks of pixels and everything twice as large, the people are the same."""
    task = task_of(tmp_path)
    task.train_set.augment = None
    batch = collate([task.train_set[0, index] for index in range(2)])
    seen = {}

    def criterion(outputs: object, classifier: object, people: object, **stage: bool) -> object:
        seen[size] = people
        return type("Losses", (), {"total": torch.zeros(())})

    criterion.to = lambda device: criterion  # type: ignore[attr-defined]
    task.criterion = criterion  # type: ignore[assignment]
    net = build_network(task.spec.net, device="cpu").train()
    for size in ((64, 64), (128, 128)):
        task._drawn_size = lambda epoch, size=size: size  # type: ignore[method-assign, misc]
        task.loss(net, batch, torch.device("cpu"))
    for small, large in zip(seen[64, 64], seen[128, 128], strict=True):
        torch.testing.assert_close(large.boxes_xyxy, small.boxes_xyxy * 2)
        torch.testing.assert_close(large.keypoints, small.keypoints * 2)
        torch.testing.assert_close(large.areas, small.areas * 4)
        torch.testing.assert_close(large.visible, small.visible)


def test_parts_of_the_network_learn_slower() -> None:
    spec = load_spec("rtmo-t_body7-416x416")
    net = build_network(spec.net, device="meta")
    groups = parameter_groups(net, 0.05, None, {"neck": 0.5, "neck.encoder": 0.05})
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            expected = 0.05 if name.startswith("neck.encoder.") else 0.5
            assert group["lr_scale"] == (expected if name.startswith("neck.") else 1.0)
    with pytest.raises(InputError, match=r"lr_factors: the network has no 'nek'.*neck"):
        parameter_groups(net, 0.05, None, {"nek": 0.5})
