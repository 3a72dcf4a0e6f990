"""What a page's reader has: a folder with pictures, clips and labels, weights, and a Hub.

Published weights are not to be had in tests. In their place are random ones of the same networks,
whose detectors take a few places of a picture for people.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from posekit.build import build_network
from posekit.config import model_names
from posekit.datasets.synthetic import write_dataset
from posekit.files import PACKAGED
from posekit.io.video import VideoWriter
from posekit.locate import choose_parts, locate
from posekit.spec import DetectorSpec, LifterSpec, load_spec
from posekit.stages.detect import Detector
from posekit.weights import download
from tests.conftest import ROOT
from tests.hub_server import HubServer, keep_client_in
from tests.pages import Block

__all__ = ["MIRROR", "at_home", "networks_of", "write_folder", "write_weights"]

MIRROR = "mirror"  # an organisation of the Hub that has weights which are not in the cache
BOXES = re.compile(r"\b(reg|box)_preds?(\.\d+)?$")
FRAMES = 3  # of a clip
PLACES = 4  # that a detector takes for people in the packaged picture
PACKAGED_NAMES = ("rtmdet-nano_drawn-256", "rtmpose-n_drawn-192x128")
# What names a model in code: `model=human`, `load("human")`, `--pose2d human`, `model=tiny,small`.
NAMED = re.compile(
    r"(?:\b(?:model|detector|pose2d)=|override /(?:model|detector): |"
    r"--(?:pose2d|pose3d|det-model) |"
    r"\b(?:load|export|train|evaluate|bench|batch|create_model|MMPoseInferencer)\(\s*)"
    r"[\"']?([\w.,-]+)|^posekit download (.*)$",
    re.MULTILINE,
)


def networks_of(blocks: Iterable[Block]) -> set[str]:
    """The published networks that the code of some blocks needs, but those of the package."""
    found: set[str] = set()
    for block in blocks:
        if not block.runs and block.mark != "file":
            continue
        for name, names in NAMED.findall(block.code):
            for word in name.split(",") if name else shlex.split(names):
                if "=" in word or word not in known_names():
                    continue
                located = locate(word)
                spec = load_spec(located.name)
                if isinstance(spec, DetectorSpec):
                    found.add(located.name)
                    continue
                chosen = choose_parts(word)
                found |= {part.name for part in (*chosen,) if part is not None}
    return found - {*PACKAGED_NAMES}


def known_names() -> set[str]:
    from posekit.checkpoints import CHECKPOINTS

    aliases = {alias for row in CHECKPOINTS for alias in (*row.aliases, row.config)}
    return {*model_names(), *aliases}


def write_weights(name: str, path: Path) -> None:
    """Random weights as posekit caches them, of activations that neither explode nor die out."""
    torch.manual_seed(0)
    spec = load_spec(name)
    net = build_network(spec.net, device="cpu")
    if not isinstance(spec, LifterSpec):
        width, height = spec.input_size
        picture = cv2.resize(cv2.imread(str(PACKAGED / "demo.jpg")), (width, height))
        images = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
        mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (spec.mean, spec.std))
        images = (torch.cat([images, images.flip(-1)]) - mean) / std
        for norm in net.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                norm.momentum = None  # the mean over batches, of which there is one
        with torch.no_grad():
            net.train()(images)
            for layer_name, layer in net.named_modules():
                if BOXES.search(layer_name) and isinstance(layer, nn.Conv2d):
                    layer.weight *= 0.1  # what is predicted goes through an exponential
    if isinstance(spec, DetectorSpec):
        make_choosy(Detector(net.eval(), spec))
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, path, metadata={"model": name})


def make_choosy(detector: Detector) -> None:
    """A few people per image, where an untrained detector finds nobody, or a hundred."""
    layers = [
        (name, layer)
        for name, layer in detector.net.named_modules()
        if re.search(r"\bcls_preds\.\d+$", name) and isinstance(layer, nn.Conv2d)
    ]
    logits: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda *call: logits.append(call[2][:, :1].flatten()))
        for _, layer in layers
    ]
    with torch.no_grad():
        detector([cv2.imread(str(PACKAGED / "demo.jpg"))])
    for hook in hooks:
        hook.remove()
    if not logits:
        return
    every = torch.cat(logits)
    gain, best = 1 / every.std(), every.topk(PLACES).values[-1]
    with torch.no_grad():
        for _, layer in layers:
            layer.weight *= gain
            layer.bias.sub_(best).mul_(gain)


def write_folder(folder: Path) -> Path:
    """A photo, pictures, clips and labels, as pages call them; the people are drawn ones."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = cv2.imread(str(PACKAGED / "demo.jpg"))
    shutil.copy(PACKAGED / "demo.jpg", folder / "photo.jpg")
    for name in ("clip.mp4", "squat.mp4", "videos/cam1/a.mp4", "videos/cam2/a.mp4"):
        write_clip(folder / name, picture)
    labels = write_dataset(folder / "drawn_here", 2, 0, people=(1, 2), progress=False)
    (folder / "drawn_here" / "images").rename(folder / "images")
    for name in ("my.json", "val.json", "mine.json"):
        shutil.copy(labels, folder / name)
    shutil.rmtree(folder / "drawn_here")
    for name in ("photos", "faces", "data/coco/val2017", "data/coco/train2017"):
        shutil.copytree(folder / "images", folder / name)
    write_coco(folder)
    return folder


def write_coco(folder: Path) -> None:
    """`data/coco` as it is unpacked, and a detector's result for it."""
    labels = json.loads((folder / "my.json").read_text())
    annotations = folder / "data" / "coco" / "annotations"
    annotations.mkdir()
    for kind in ("person_keypoints", "instances"):
        for part in ("train2017", "val2017"):
            (annotations / f"{kind}_{part}.json").write_text(json.dumps(labels))
    boxes = [
        {key: person[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for person in labels["annotations"]
    ]
    path = folder / "COCO_val2017_detections_AP_H_56_person.json"
    path.write_text(json.dumps(boxes))


def write_clip(path: Path, picture: np.ndarray) -> None:
    """The packaged picture, which moves to the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    with VideoWriter(path, fps=Fraction(25), size=(width, height)) as clip:
        for number in range(FRAMES):
            clip.write(np.roll(picture[:height, :width], 2 * number, axis=1), number / 25)


@contextmanager
def at_home(home: Path, cache: Path) -> Iterator[HubServer]:
    """This process is on a machine with weights in its cache, and no network but this Hub."""
    with HubServer().running() as server, pytest.MonkeyPatch.context() as patch:
        for key in ("HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            patch.delenv(key, raising=False)
        scripts = write_scripts(home / "bin")
        here = {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "POSEKIT_CACHE": str(cache),
            "POSEKIT_HUB_NAMESPACE": MIRROR,
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(home / "hf"),
            "HF_TOKEN": server.token,
            "HF_HUB_DISABLE_XET": "1",
            "HTTPS_PROXY": server.url,
            "https_proxy": server.url,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        for key, value in here.items():
            patch.setenv(key, value)
        keep_client_in(patch, home / "hf" / "hub")
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
        patch.setattr(download, "PAUSES", ())
        yield server


def write_scripts(folder: Path) -> Path:
    """The commands that an installation puts on the path, of this very Python."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = {
        "posekit": "-m posekit",
        "posekit-inferencer": "-m posekit.commands.inferencer",
        "posekit-topdown": "-m posekit.commands.topdown",
        "python": "",
    }
    for name, words in modules.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
        script.chmod(0o755)
    return folder
