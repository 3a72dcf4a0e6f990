from __future__ import annotations

import csv
import logging
import math
import resource
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import posekit
from posekit.build import build_network
from posekit.cli import main
from posekit.compose import compose_command, read_part
from posekit.errors import InputError, OutputError, UnknownModelError
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec, read_spec
from posekit.training.checkpoint import load_checkpoint
from posekit.training.export import model_name
from posekit.training.loop import _is_better
from posekit.training.losses import SimCCLoss
from posekit.training.optim import make_optimizer, make_scheduler, parameter_groups
from posekit.training.options import TrainOptions
from posekit.training.tasks import PoseTask, make_task
from posekit.weights.tensors import load_weights
from tests.conftest import ROOT
from tests.datasets import sets
from tests.training import runs
from tests.training.runs import free_port, losses, weights


def assert_same_state(one: Any, other: Any) -> None:
    """Bit for bit, through dicts and lists."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_state(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same_state(a, b)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_a_run_cut_twice_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    # Stochastic depth, the moving average and Adam's moments all have to go on as they were.
    options = [
        *runs.workshop(tmp_path),
        *("epochs=4", "ema=0.9", "train_net.drop_path_rate=0.5", "checkpoint_every=3"),
        *("val_every=2", "batch_size=2"),
    ]
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    # 16 steps. The first checkpoint is that of step 3, which is in the middle of an epoch.
    options_now = [*options, f"out_dir={tmp_path / 'cut'}", "resume=true"]
    # In itself, for from outside a fast run might be over before.
    killed = ("-c", "from tests.training.runs import killed_after; killed_after('step 5/16')")
    process = runs.fork(tmp_path, *options_now, program=killed)
    assert process.returncode == -signal.SIGKILL, process.stderr
    with runs.interrupted_after("step 11/16"), pytest.raises(KeyboardInterrupt):
        runs.train(tmp_path, *options_now)
    cut = runs.train(tmp_path, *options_now)
    assert_same_state(weights(cut), weights(whole))
    states = [load_checkpoint(run / "last.ckpt") for run in (cut, whole)]
    assert_same_state(*states)
    assert losses(cut) == losses(whole)


def test_two_processes_learn_as_one_with_the_double_batch(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), "train_net.drop_path_rate=0", "epochs=4"]
    one = runs.train(tmp_path, *options, "batch_size=4", f"out_dir={tmp_path / 'one'}")
    if not torch.cuda.is_available():
        options += ["device=null"]  # the best there is
    options += ["batch_size=2", f"out_dir={tmp_path / 'two'}"]

    # What torchrun gives them; itself it launches the runs of `test_processes.py`.
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}

    def run(rank: str) -> subprocess.CompletedProcess[str]:
        return runs.fork(tmp_path, *options, RANK=rank, LOCAL_RANK=rank, **meet)

    with ThreadPoolExecutor() as pool:
        both = list(pool.map(run, "01"))
    log = "".join(process.stderr for process in both)
    assert [process.returncode for process in both] == [0, 0], log
    assert len(losses(one)) == 8
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(one), rtol=1e-5)
    assert log.count("data: 8 samples") == 1  # one process speaks


def test_accumulated_batches_learn_as_one_large_batch(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), "train_net.drop_path_rate=0"]
    one = runs.train(tmp_path, *options, "batch_size=4", f"out_dir={tmp_path / 'one'}")
    parts = runs.train(
        tmp_path, *options, "batch_size=1", "accumulate=4", f"out_dir={tmp_path / 'parts'}"
    )
    np.testing.assert_allclose(losses(parts), losses(one), rtol=1e-5)


def test_the_number_of_loading_processes_changes_nothing(tmp_path: Path) -> None:
    # Three of eight samples per step: the workers have read what no step takes.
    options = [*runs.workshop(tmp_path), "epochs=2", "batch_size=3"]
    one = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'one'}")
    other = runs.train(tmp_path, *options, "num_workers=1", f"out_dir={tmp_path / 'other'}")
    assert_same_state(weights(one), weights(other))


def test_the_trained_folder_is_a_model(tmp_path: Path) -> None:
    options = runs.workshop(tmp_path)
    run = runs.train(
        tmp_path,
        *options,
        f"dataset.val={tmp_path / 'data' / 'discs.json'}",
        f"out_dir={tmp_path / 'run'}",
    )
    picture = tmp_path / "data" / "0.png"
    found = [
        next(posekit.load(str(folder), device="cpu").stream(str(picture)))
        for folder in (run, run / "export")
    ]
    assert found[0].keypoints.shape == (1, 5, 2)
    assert found[0].skeleton.names == ("nose", "left_eye", "right_eye", "left_hip", "right_hip")
    assert found[0].skeleton.flip_indices == (0, 2, 1, 4, 3)
    np.testing.assert_array_equal(found[0].keypoints, found[1].keypoints)
    net = posekit.create_model(str(run))
    assert_same_state(dict(net.state_dict()), weights(run))
    assert "| AP |" in (run / "export" / "README.md").read_text()


def test_a_loss_that_is_not_finite_names_step_and_samples_and_keeps_the_checkpoint(
    tmp_path: Path,
) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "checkpoint_every=1"]
    runs.train(tmp_path, *options, "epochs=1")
    before = load_checkpoint(tmp_path / "run" / "last.ckpt")
    with pytest.raises(InputError, match=r"in step \d+ of epoch \d") as error:
        runs.train(tmp_path, *options, "resume=true", "lr=1e30", "epochs=9", "warmup_steps=0")
    assert "last.ckpt holds the last good state" in str(error.value)
    after = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert after["step"] >= before["step"]
    assert all(value.isfinite().all() for value in after["net"].values())


def test_bad_labels_stop_with_the_samples_names(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    # A mean that is infinite in single precision is the simplest way to an undefined loss.
    with pytest.raises(InputError, match=r"the loss is nan in step 1 of epoch 0; samples: annot"):
        runs.train(tmp_path, *options, "model.preprocess.mean=[1e39,0,0]")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_sample_stops_with_its_name(tmp_path: Path, workers: int) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", f"num_workers={workers}"]
    broken = tmp_path / "data" / "3.png"
    _, data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (240, 320, 3)))
    broken.write_bytes(data.tobytes()[:5000])  # the header is whole
    with pytest.raises(InputError) as error:
        runs.train(tmp_path, *options)
    assert str(error.value).startswith(f"a sample cannot be used: image {broken} (id 13)")
    assert "\n" not in str(error.value)


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    run = runs.train(tmp_path, *options, "epochs=1")
    before = (run / "last.ckpt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files may not be as large as a checkpoint: writing it fails in the middle.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(
            OutputError, match=r"last\.ckpt: File too large; the one before is kept"
        ):
            runs.train(tmp_path, *options, "resume=true", "checkpoint_every=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (run / "last.ckpt").read_bytes() == before
    assert [path.name for path in run.glob(".*")] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # its writer
def test_a_disk_without_room_for_a_line_is_named(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    run = runs.train(tmp_path, *options, "epochs=1")
    before = (run / "last.ckpt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))  # not even TensorBoard's header
    try:
        with pytest.raises(OutputError, match="File too large"):
            runs.train(tmp_path, *options, "resume=true", "epochs=2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (run / "last.ckpt").read_bytes() == before


def test_a_run_resumes_as_it_was_started(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    runs.train(tmp_path, *options, "epochs=1")
    for change, message in (
        ("batch_size=2", "the run has 2 steps of 4 samples per epoch, now 4 of 2"),
        ("model.net.depth=3", "is of another model or optimizer"),
        ("optimizer=sgd", "the run has optimizer=adamw, now sgd"),
    ):
        with pytest.raises(InputError, match=message):
            runs.train(tmp_path, *options, "epochs=2", "resume=true", change)
    # The same step in two parts is the same step.
    runs.train(tmp_path, *options, "epochs=2", "resume=true", "batch_size=2", "accumulate=2")


def test_a_moving_average_may_join_later(tmp_path: Path) -> None:
    # So slow that nothing but a wrong average could change the weights.
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "lr=1e-12"]
    first = weights(runs.train(tmp_path, *options, "epochs=1"))
    run = runs.train(tmp_path, *options, "epochs=2", "resume=true", "ema=0.9", "ema_warmup=false")
    for key, value in weights(run).items():
        torch.testing.assert_close(value, first[key])


def test_weight_decay_acts_at_once_where_a_run_resumes(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    runs.train(tmp_path, *options, "epochs=1", "weight_decay=0.1")
    run = runs.train(tmp_path, *options, "epochs=2", "resume=true", "weight_decay=0.2")
    state = torch.load(run / "last.ckpt", weights_only=True)
    decays = {group["weight_decay"] for group in state["optimizer"]["param_groups"]}
    assert decays == {0.0, 0.2}


def test_a_run_that_is_renamed_leaves_one_model(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    runs.train(tmp_path, *options, "epochs=1", "name=before")
    run = runs.train(tmp_path, *options, "epochs=2", "resume=true", "name=after")
    assert [path.name for path in (run / "export" / "model").iterdir()] == ["after.yaml"]


def test_a_name_is_never_that_of_a_packaged_model() -> None:
    config = {
        "name": None,
        "names": {"model": "rtmpose-n_drawn-192x128"},
        "dataset": {"train": "data/drawn.json"},
    }
    assert model_name(config) == "rtmpose-n_drawn-own-192x128"


def test_a_detector_that_was_asked_for_stays(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), "epochs=1"]
    named = "model.detector=rtmdet-nano_drawn-256"
    run = runs.train(tmp_path, *options, named, f"out_dir={tmp_path / 'run'}")
    exported = yaml.safe_load(next((run / "export" / "model").iterdir()).read_text())
    assert exported["detector"] == "rtmdet-nano_drawn-256"
    with pytest.raises(UnknownModelError, match="did you mean"):
        runs.train(tmp_path, *options, "model.detector=rtmdet-nanu")
    own = tmp_path / "own"
    (own / "detector").mkdir(parents=True)
    (own / "detector" / "mine.yaml").write_text("net: {}\n")
    (own / "model.safetensors").touch()
    with pytest.raises(InputError, match="is a folder"):
        runs.train(tmp_path, *options, f"model.detector={own}", f"out_dir={tmp_path / 'again'}")


def test_an_evaluation_that_fails_costs_no_epoch(tmp_path: Path) -> None:
    labels = tmp_path / "data" / "discs.json"
    options = [*runs.workshop(tmp_path), f"dataset.val={labels}", "val_every=1", "epochs=2"]
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    cut = [*options, f"out_dir={tmp_path / 'cut'}"]
    with pytest.raises(ZeroDivisionError), pytest.MonkeyPatch.context() as patch:
        patch.setattr(PoseTask, "evaluate", lambda task, net: 1 / 0)
        runs.train(tmp_path, *cut)
    resumed = runs.train(tmp_path, *cut, "resume=true")
    assert (resumed / "val.csv").read_text() == (whole / "val.csv").read_text()
    assert_same_state(weights(resumed), weights(whole))


def test_networks_with_batch_norm_resume_too(tmp_path: Path) -> None:
    options = [
        *runs.workshop(tmp_path)[1:],
        "model=rtmpose-n_drawn-192x128",
        *("model.input_size=[32,32]", "ema=0.9", "augment.dropout=0"),
    ]
    whole = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'whole'}")
    cut = [*options, f"out_dir={tmp_path / 'cut'}", "checkpoint_every=1"]
    calls = iter(range(100))
    real = SimCCLoss.forward

    def stop(self: SimCCLoss, *arguments: Any) -> torch.Tensor:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimCCLoss, "forward", stop)
        runs.train(tmp_path, *cut)
    resumed = runs.train(tmp_path, *cut, "resume=true")
    assert_same_state(weights(resumed), weights(whole))


def test_problems_of_the_data_stop_before_anything_is_made(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}"]
    (tmp_path / "data" / "2.png").unlink()
    with pytest.raises(InputError, match=r"missing image files: .*2\.png \(image 12\)"):
        runs.train(tmp_path, *options)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_would_be_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "dry_run=true"]
    with caplog.at_level(logging.INFO):
        runs.train(tmp_path, *options, "freeze=[backbone]")
    for part in (
        "data: 8 samples",
        "tiny_discs-32x32, 725 parameters learn, 18,960 frozen",
        "2 steps of 4 samples per epoch, 3 epochs",
    ):
        assert part in caplog.text
    assert not (tmp_path / "run").exists()


def test_a_second_run_does_not_overwrite_the_first(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "epochs=1"]
    runs.train(tmp_path, *options)
    with pytest.raises(InputError, match="already holds a run: continue it with resume=true"):
        runs.train(tmp_path, *options)


def test_what_is_frozen_stays(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), "epochs=1"]
    config = compose_command("train", options, config_dir=tmp_path / "conf")
    torch.manual_seed(config["seed"])
    initial = build_network(read_part(config, "model").net, device="cpu").state_dict()
    run = runs.train(tmp_path, *options, "freeze=[backbone.blocks]", f"out_dir={tmp_path / 'run'}")
    for key, value in weights(run).items():
        moved = not torch.equal(value, initial[key])
        assert moved != key.startswith("backbone.blocks"), key


def test_frozen_batch_norms_keep_their_statistics(tmp_path: Path) -> None:
    run = runs.train(tmp_path, *rtmpose(tmp_path), "freeze=[backbone.stem]")
    found = weights(run)
    means = {key: value for key, value in found.items() if key.endswith("running_mean")}
    stem = [key for key in means if key.startswith("backbone.stem")]
    assert stem
    assert all(not means[key].any() for key in stem)
    assert all(value.any() for key, value in means.items() if key not in stem)


def test_an_unknown_prefix_to_freeze_has_a_suggestion(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), "freeze=[backbone.block]"]
    with pytest.raises(InputError, match=r"no 'backbone\.block'; did you mean backbone\.blocks"):
        runs.train(tmp_path, *options)


def rtmpose(folder: Path) -> list[str]:
    """The smallest RTMPose on 64 x 64 pixels."""
    return [
        *runs.workshop(folder, 4)[1:],
        "model=rtmpose-t_coco-256x192",
        *("model.input_size=[64,64]", "epochs=2", "final_part=0.5"),
        f"out_dir={folder / 'run'}",
    ]


def test_rtmpose_has_two_stages(tmp_path: Path) -> None:
    run = runs.train(tmp_path, *rtmpose(tmp_path))
    assert len(losses(run)) == 2
    assert all(math.isfinite(loss) for loss in losses(run))
    assert posekit.create_model(str(run)).training is False


def test_a_detector_learns_boxes_and_can_be_used(tmp_path: Path, rtmpose_t: Path) -> None:
    labels = tmp_path / "data" / "discs.json"
    run = runs.train(
        tmp_path,
        *runs.workshop(tmp_path, 4)[1:],
        "model=rtmdet-nano_person-320",
        f"dataset.val={labels}",
        *("model.input_size=[96,96]", "epochs=2", "final_part=0.5"),
        f"out_dir={tmp_path / 'run'}",
    )
    assert "AP" in (run / "val.csv").read_text()
    # A missing image is left out of evaluation where that is asked for.
    Path(tmp_path / "data" / "1.png").unlink()
    val = f"dataset.val={{annotations: {labels}, skip_bad: true}}"
    options = [f"model={run}", "dataset=custom", val, "device=cpu"]
    assert main(["evaluate", *options]) == 0
    predictor = posekit.load(
        "rtmpose-t_body8-256x192", weights=rtmpose_t, detector=str(run), device="cpu"
    )
    assert predictor.detector is not None
    assert predictor.detector.classes == ("person",)
    next(predictor.stream(str(tmp_path / "data" / "0.png"), bbox_thr=0.0))


def test_a_lifter_learns_from_sequences(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "walks.npz",
        keypoints_2d=rng.uniform(0, 1000, (4, 9, 17, 2)),
        keypoints_3d=rng.normal(size=(4, 1, 17, 3)).repeat(9, axis=1),
        image_size=(1000, 1000),
    )
    run = runs.train(
        tmp_path,
        *runs.workshop(tmp_path)[1:],
        *(f"dataset.{part}={tmp_path / 'walks.npz'}" for part in ("train", "val")),
        "model=motionbert_h36m",
        *("model.net.channels=16", "model.net.depth=1", "model.net.representation_channels=16"),
        *("window=9", "epochs=40", "lr=3e-3", f"out_dir={tmp_path / 'run'}"),
    )
    first, last = losses(run)[0], losses(run)[-1]
    assert last < 0.9 * first
    assert (run / "export" / "lifter").is_dir()
    spec = load_spec(next((run / "export" / "lifter").iterdir()).stem, [run / "export"])
    load_weights(build_network(spec.net), run / "export" / "model.safetensors")


def test_layers_of_a_transformer_learn_at_their_own_rate() -> None:
    net = build_network(read_spec(runs.MODEL, "tiny").net, device="cpu")
    scales: dict[str, tuple[float, float]] = {}
    of = {id(parameter): name for name, parameter in net.named_parameters()}
    for group in parameter_groups(net, 0.1, 0.5):
        for parameter in group["params"]:
            scales[of[id(parameter)]] = (group["lr_scale"], group["weight_decay"])
    assert len(scales) == len(of)
    assert scales["backbone.patch_embed.weight"] == (0.125, 0.1)
    assert scales["backbone.pos_embed"] == (0.125, 0.0)
    assert scales["backbone.blocks.0.mlp.fc1.weight"] == (0.25, 0.1)
    assert scales["backbone.blocks.1.mlp.fc1.weight"] == (0.5, 0.1)
    assert scales["backbone.blocks.1.mlp.fc1.bias"] == (0.5, 0.0)
    assert scales["backbone.norm.weight"] == (1.0, 0.0)
    assert scales["head.final_layer.weight"] == (1.0, 0.1)


def test_layer_decay_of_another_network_is_an_error() -> None:
    with pytest.raises(InputError, match=r"Linear has no backbone\.blocks"):
        parameter_groups(torch.nn.Linear(2, 2), 0.0, 0.9)


def test_the_rate_of_rtmpose_is_constant_and_then_a_cosine() -> None:
    config = compose_command("train", ["model=rtmpose-m_coco-256x192", "dataset.train=x.json"])
    optimizer = make_optimizer(torch.nn.Linear(2, 2), TrainOptions.of(config), 512)
    scheduler = make_scheduler(optimizer, TrainOptions.of(config), 20_000)
    rates = []
    for step in (0, 500, 1000, 10_000, 15_250, 20_000):
        scheduler.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    # 4e-3 is for 1024 samples per step; the decay takes half of what follows the warm-up.
    expected = np.array([2e-6, 1e-3, 2e-3, 2e-3, 1.05e-3, 1e-4]) * 2**0.5
    np.testing.assert_allclose(rates, expected, rtol=2e-3)


@pytest.mark.parametrize(("optimizer", "factor"), [("adamw", 0.25), ("sgd", 1 / 16)])
def test_small_batches_learn_at_a_smaller_rate(optimizer: str, factor: float) -> None:
    options = ["model=rtmpose-m_coco-256x192", "dataset.train=x.json", f"optimizer={optimizer}"]
    config = compose_command("train", options)
    made = make_optimizer(torch.nn.Linear(2, 2), TrainOptions.of(config), 64)
    assert made.param_groups[0]["lr"] == pytest.approx(4e-3 * factor)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=0", "epochs must be a whole number of at least 1, found 0"),
        ("lr=fast", "lr must be a number above 0, found 'fast'"),
        ("optimizer=adamwww", "optimizer=adamwww"),
        ("schedule=never", "schedule=never"),
        ("precision=int8", "precision must be one of no, bf16, fp16, or left out, found 'int8'"),
        ("device=cuda:1", "choose among GPUs with CUDA_VISIBLE_DEVICES"),
        ("final_part=2", "final_part must be a number from 0 to 1, found 2"),
        ("name=a/b", "name: expected letters"),
        ("num_workers=-1", "num_workers must be a whole number of at least 0, or left out"),
        ("lr_batch_size=0", "lr_batch_size must be a whole number of at least 1, or left out"),
        ("ema=abc", "ema must be a number above 0 and below 1, or left out, found 'abc'"),
        ("clip_grad=-1", "clip_grad must be a number above 0, or left out, found -1"),
        ("weight_decay=x", "weight_decay must be a number of at least 0"),
        ("decay=1.5", "decay must be a number from 0 to 1, found 1.5"),
        ("betas=0.9", "betas must be a list, or left out, found 0.9"),
        ("milestones=0.8", "milestones must be a list, found 0.8"),
        ("freeze=backbone", "freeze must be a list, found 'backbone'"),
        ("betas=[0.9,high]", r"betas must be a list of numbers, found \[0.9, 'high'\]"),
        ("freeze=[1]", r"freeze must be a list such as \[backbone.stem\], found \[1\]"),
        ("layer_decay=0", "layer_decay must be a number above 0 and at most 1, or left out"),
        ("ema=1", "ema must be a number above 0 and below 1, or left out, found 1"),
        ("train_net=3", "train_net must be a mapping"),
        ("resume=no", "resume must be true or false, found 'no'"),
        ("ema=2", "ema must be a number above 0 and below 1, or left out, found 2"),
        ("layer_decay=null model.net.depth=x", "model.net.depth: expected a whole number"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    discs: tuple[Path, list[str]], override: str, message: str
) -> None:
    folder, options = discs
    with pytest.raises(InputError, match=message):
        runs.train(folder, *options, *override.split(), "dry_run=true")


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A workshop that nothing is trained in, and its overrides."""
    folder = tmp_path_factory.mktemp("discs")
    return folder, runs.workshop(folder)


def test_every_model_that_has_a_recipe_composes() -> None:
    names = [path.stem for path in sorted((ROOT / "conf" / "model").glob("*.yaml"))]
    chosen = [name for name in names if "internet" not in name][::15]
    for name in [*chosen, "rtmdet-nano_person-320", "motionbert_h36m", "hrnet-w32_coco-256x192"]:
        config = compose_command("train", [f"model={name}", "dataset.train=x"])
        assert config["names"]["model"] == name
        assert config["model"]["net"]["_target_"]


def test_all_keypoints_in_another_spelling_keep_their_sigmas(tmp_path: Path) -> None:
    known = load_skeleton("coco")
    names = tuple(name.replace("_", " ").title() for name in known.names)
    data = sets.coco(1)
    data["categories"][0] |= {"keypoints": list(names), "skeleton": []}
    data["annotations"][0]["keypoints"] = [100.0, 100.0, 2] * 17
    options = runs.workshop(tmp_path)[:1] + runs.OPTIONS[1:]
    options += [f"dataset.train={sets.save(tmp_path / 'data', data, 'all.json')}"]
    config = compose_command("train", options, config_dir=tmp_path / "conf")
    task = make_task(config)
    assert task.skeleton.names == names
    assert task.skeleton.sigmas == known.sigmas
    assert task.skeleton.flip_indices == known.flip_indices
    assert (task.skeleton.name, task.spec.keypoints) == ("all", "all")


@pytest.mark.parametrize(
    ("found", "best", "higher", "better"),
    [
        *((0.5, 0.5, True, True), (0.5, 0.5, False, True), (0.0, 0.0, True, True)),
        *((0.4, 0.5, True, False), (0.4, 0.5, False, True), (0.6, 0.5, False, False)),
        *((math.nan, 0.5, True, False), (0.0, math.nan, True, True)),
        (math.nan, math.nan, False, True),
    ],
)
def test_of_weights_that_are_as_good_the_newest_are_kept(
    found: float, best: float, higher: bool, better: bool
) -> None:
    assert _is_better(found, best, higher) == better


def test_a_tie_exports_the_newest_weights(tmp_path: Path) -> None:
    options = runs.workshop(tmp_path)
    data = sets.coco(2)
    for annotation in data["annotations"]:  # nobody is found there: AP 0 in each epoch
        annotation["keypoints"][0::3] = [2.0, 300.0, 4.0, 290.0, 6.0]
    val = sets.save(tmp_path / "val", data, "val.json")
    options += [f"dataset.val={val}", "val_every=1", f"out_dir={tmp_path / 'run'}"]
    run = runs.train(tmp_path, *options, "epochs=2", "resume=true")
    with (run / "val.csv").open() as file:
        assert {float(row["AP"]) for row in csv.DictReader(file)} == {0.0}
    assert "steps: 4" in (run / "export" / "README.md").read_text()
    newest = load_checkpoint(run / "last.ckpt")["net"]
    for key, value in weights(run).items():
        assert torch.equal(value, newest[key])


def spoil_moments(state: dict[str, Any]) -> None:
    next(iter(state["optimizer"]["state"].values()))["exp_avg"] = torch.zeros(3)


def spoil_groups(state: dict[str, Any]) -> None:
    state["optimizer"]["param_groups"][0]["eps"] = "none"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state["net"].popitem(), "of another model or optimizer: .*Missing key"),
        (lambda state: state["net"].update(more=torch.zeros(1)), "model or optimizer: "),
        (lambda state: state["optimizer"].clear(), "of another model or optimizer: "),
        (lambda state: state["optimizer"].update(state=5), "of another model or optimizer: "),
        (spoil_moments, "its 'exp_avg' has other shapes"),
        (spoil_groups, "its 'eps' is 'none', expected 1e-08"),
        (
            lambda state: state["sampler"].update(length=5),
            "cannot resume: .* length 5, now it is 8",
        ),
        (lambda state: state.update(plan=[4, 3], step=9), "cannot resume: the run has 3 steps"),
        (lambda state: state.pop("optimizer"), "'optimizer' is missing"),
    ],
)
def test_a_state_that_does_not_fit_is_said_in_a_line(
    ended: tuple[Path, list[str], bytes], spoil: Any, message: str
) -> None:
    folder, options, last = ended
    path = folder / "run" / "last.ckpt"
    path.write_bytes(last)
    state = load_checkpoint(path)
    spoil(state)
    torch.save(state, path)
    with pytest.raises(InputError, match=message) as raised:
        runs.train(folder, *options, "epochs=4", "resume=true")
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], bytes]:
    """A run, its overrides and its last checkpoint."""
    folder = tmp_path_factory.mktemp("ended")
    options = [*runs.workshop(folder), f"out_dir={folder / 'run'}", "optimizer=adamw"]
    run = runs.train(folder, *options)
    return folder, options, (run / "last.ckpt").read_bytes()


@pytest.mark.parametrize("name", ["ckpt_KeyError.ckpt", "ckpt_error.ckpt"])
def test_a_foreign_checkpoint_ends_resuming_in_a_line(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*runs.workshop(tmp_path), f"out_dir={tmp_path / 'run'}", "resume=true"]
    (tmp_path / "run").mkdir()
    content = (ROOT / "tests" / "data" / "checkpoints" / name).read_bytes()
    (tmp_path / "run" / "last.ckpt").write_bytes(content)
    assert main(["train", "--config-dir", str(tmp_path / "conf"), *options]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "last.ckpt" in line]
    assert len(said) == 1
    assert "is not a checkpoint that can be read" in said[0]
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == content


@pytest.mark.parametrize("model", ["rtmpose-n_drawn-192x128", "rtmdet-nano_drawn-256"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_one_step_on_one_sample_trains(tmp_path: Path, model: str, batch_size: int) -> None:
    """Their recipe is the one of a rate that stays and then decays."""
    options = [*runs.workshop(tmp_path, 1)[1:], f"model={model}", "weights=published"]
    labels = tmp_path / "data" / "discs.json"
    options += [f"dataset.val={labels}", "epochs=1", f"batch_size={batch_size}"]
    run = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'run'}")
    assert len(losses(run)) == 1
    assert math.isfinite(losses(run)[0])
    before = load_file(ROOT / "posekit" / "packaged" / f"{model}.safetensors")
    after = weights(run)
    assert any(not torch.equal(after[key], before[key]) for key in after if key in before)
    assert (run / "val.csv").read_text().count("\n") == 2


@pytest.mark.parametrize("batch_size", [1, 8])
def test_one_step_on_one_sequence_trains(tmp_path: Path, batch_size: int) -> None:
    (tmp_path / "conf").mkdir()
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "walk.npz",
        keypoints_2d=rng.uniform(0, 1000, (1, 1, 17, 2)),
        keypoints_3d=rng.normal(size=(1, 1, 17, 3)),
        image_size=(1000, 1000),
    )
    run = runs.train(
        tmp_path,
        *runs.OPTIONS[1:],
        *(f"dataset.{part}={tmp_path / 'walk.npz'}" for part in ("train", "val")),
        "model=motionbert_h36m",
        *("model.net.channels=16", "model.net.depth=1", "model.net.representation_channels=16"),
        *("window=9", "epochs=1", f"batch_size={batch_size}", f"out_dir={tmp_path / 'run'}"),
    )
    assert len(losses(run)) == 1
    assert "MPJPE" in (run / "val.csv").read_text()


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(tmp_path: Path) -> None:
    options = [*runs.workshop(tmp_path), "train_net.drop_path_rate=0", "epochs=2", "val_every=1"]
    options += [f"dataset.val={tmp_path / 'data' / 'discs.json'}"]
    plain = runs.train(tmp_path, *options, f"out_dir={tmp_path / 'plain'}")
    options = [*options, f"out_dir={tmp_path / 'compiled'}", "compile=true"]
    with runs.interrupted_after("step 3/4"), pytest.raises(KeyboardInterrupt):
        runs.train(tmp_path, *options)
    compiled = runs.train(tmp_path, *options, "resume=true")
    np.testing.assert_allclose(losses(compiled), losses(plain), rtol=1e-2)
    assert weights(compiled).keys() == weights(plain).keys()


@pytest.mark.slow
def test_compiling_without_a_compiler_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*runs.workshop(tmp_path), "compile=true", f"out_dir={tmp_path / 'run'}"]
    monkeypatch.setenv("PATH", str(tmp_path))  # no g++ there
    for name in ("CXX", "CC"):
        monkeypatch.delenv(name, raising=False)
    process = runs.start(tmp_path, *options)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 1
    said = [line for line in log.splitlines() if "compile=true: " in line]
    assert len(said) == 1
    assert "it needs a C++ compiler such as g++" in said[0]
    assert "Traceback" not in log
    assert not (tmp_path / "run").exists()
