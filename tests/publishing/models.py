"""A small model of one's own as a folder, and a machine of its own for a Hub on the loopback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import torch

import posekit
from posekit.build import build_network
from posekit.files import PACKAGED
from posekit.skeleton import load_skeleton
from posekit.spec import load_spec, read_spec
from posekit.training.export import export_model
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.processes import run_python
from tests.training.runs import MODEL

NAME = "tiny_mine-32x32"
DRAWN = "rtmpose-n_drawn-192x128"  # which is in the package, and finds people
PICTURE = PACKAGED / "demo.jpg"


def export(folder: Path, name: str = NAME, drawn: bool = False) -> Path:
    """What a run exports: a model of 20,000 parameters, or the packaged one of drawn people."""
    torch.manual_seed(0)
    spec = load_spec(DRAWN) if drawn else read_spec(MODEL, name)
    net = build_network(spec.net, device="cpu").eval()
    if drawn:
        net = posekit.create_model(DRAWN, weights="published")
    export_model(
        folder,
        name,
        spec=spec,
        state=net.state_dict(),
        skeleton=load_skeleton("coco"),
        metrics={"AP": 0.51234, "AR": float("nan")},
        about={"training data": "mine.json, 40 samples", "validation data": "val.json"},
    )
    return folder


def publish(server: HubServer, folder: Path, repository: str, **more: bytes) -> str:
    """Puts a folder's files into a repository as they are; the commit."""
    files: dict[str, bytes | str] = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return server.commit(repository, files | more)


def environment(server: HubServer, home: Path, **more: str) -> dict[str, str]:
    """Of a machine that has nothing yet."""
    unset = ("HF_HUB_OFFLINE", "POSEKIT_HUB_NAMESPACE", "HF_TOKEN", "HF_HUB_CACHE")
    return {
        **{key: value for key, value in os.environ.items() if key not in unset},
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(home / "hf"),
        "POSEKIT_CACHE": str(home / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python ...` on that machine."""
    return run_python(*words, env=environment)
