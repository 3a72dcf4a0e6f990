"""A copy of a run's folder in a store that fsspec opens, to restore a lost folder from."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from posekit.errors import InputError
from posekit.files import replacing
from posekit.io.listing import hide_password
from posekit.io.remote import fetch, find_below, remove, send
from posekit.training.run_folder import RunFolder, facts, is_same_run

__all__ = ["Mirror"]

log = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"
STEP = "mirror.json"  # the step of the checkpoint there, so that none is fetched to compare


class Mirror:
    """The copy of a run's folder; of several processes only the first one has it.

    A store that fails does not stop training: a warning says so, and the next checkpoint tries
    again.

    Args:
        url: URL of a folder, such as `s3://bucket/run`.
        path: the run's folder here.
    """

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url.rstrip("/"), path
        self.shown = hide_password(self.url)
        self._there: list[str] = []
        self._sent: dict[str, tuple[int, int]] = {}
        self._failed = False
        self._kept: int | None = None

    def is_same_run(self, launch: str, config: Mapping[str, Any]) -> bool:
        """As `posekit.training.run_folder.is_same_run`, for the run in the store."""
        with tempfile.TemporaryDirectory() as name:
            try:
                for file in ("run.json", "config.yaml"):
                    self._fetch(file, Path(name))
            except InputError:
                return False
            return is_same_run(Path(name), launch, config)

    def prepare(self, *, resume: bool, dry_run: bool) -> None:
        """Checks that the store can be used; if a run resumes, brings the folder up to date.

        Args:
            resume: continue the run in the store, if there is one.
            dry_run: leave the folder alone.

        Raises:
            InputError: the store cannot be reached or written to, or holds a run that is not to be
                continued.
        """
        try:
            self._there = find_below(self.url)
            if not self._there and not dry_run:
                self._send_step(0)  # so that one that cannot be written to is known now
        except InputError as error:
            if not resume or not (self.path / CHECKPOINT).is_file():
                raise
            log.warning("%s; resuming from %s", error, self.path)
            return
        if not resume and "config.yaml" in self._there:
            raise InputError(
                f"mirror_to: {self.shown} already holds a run: continue it with resume=true, "
                "or choose another URL"
            )
        if resume and not dry_run and CHECKPOINT in self._there:
            self._fetch_newer()

    def _fetch_newer(self) -> None:
        here = RunFolder(self.path, resume=True)
        if here.resumes:
            self._check_same()
            if self._step() <= here.load()["step"]:
                return
        log.warning("restored the run from %s", self.shown)
        # A checkpoint is the last to come: without one nothing of this counts.
        for name in sorted(set(self._there) - {STEP}, key=lambda name: name == CHECKPOINT):
            self._fetch(name, self.path)

    def _check_same(self) -> None:
        known = facts(self.path).get("id")
        with tempfile.TemporaryDirectory() as name:
            if "run.json" in self._there:
                self._fetch("run.json", Path(name))
            other = facts(Path(name)).get("id")
        if known != other:
            raise InputError(
                f"mirror_to: {self.shown} holds another run than {self.path}; choose another URL, "
                "or another out_dir"
            )

    def _step(self) -> int:
        if STEP not in self._there:
            return -1
        with tempfile.TemporaryDirectory() as name:
            self._fetch(STEP, Path(name))
            try:
                return int(json.loads((Path(name) / STEP).read_text(encoding="utf-8"))["step"])
            except (KeyError, TypeError, ValueError):
                return -1

    def _fetch(self, name: str, folder: Path) -> None:
        parts = PurePosixPath(name).parts
        if ".." in parts or PurePosixPath(name).is_absolute() or "\\" in name:
            raise InputError(f"mirror_to: {self.shown} holds a file with the name {name!r}")
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, sole_writer=True) as temporary:
            fetch(f"{self.url}/{name}", temporary)

    def send(self, step: int) -> None:
        """Copies what is new since the last time, the checkpoint last.

        Args:
            step: the checkpoint's step.
        """
        try:
            for name in self._names():
                self._send(name)
            self._remove_old_exports()
            self._send(CHECKPOINT)
            self._send_step(step)
        except (InputError, OSError) as error:
            if not self._failed:
                log.warning("%s; training continues, and the next checkpoint tries again", error)
            self._failed = True
        else:
            if self._failed:
                log.warning("%s is up to date again", self.shown)
            self._failed, self._kept = False, step

    def _send_step(self, step: int) -> None:
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / STEP).write_text(json.dumps({"step": step}) + "\n")
            send(Path(name) / STEP, f"{self.url}/{STEP}")

    def _names(self) -> list[str]:
        """All files except the checkpoint and what is being written."""
        paths = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
        hidden = (path for path in paths if not any(part.startswith(".") for part in path.parts))
        return sorted(path.as_posix() for path in hidden if path.name != CHECKPOINT)

    def _send(self, name: str) -> None:
        about = (self.path / name).stat()
        now = (about.st_mtime_ns, about.st_size)
        if self._sent.get(name) != now:
            send(self.path / name, f"{self.url}/{name}")
            self._sent[name] = now

    def _remove_old_exports(self) -> None:
        """Removes a model that had another name before."""
        if not (self.path / "export" / "model.safetensors").is_file():
            return
        for name in [name for name in self._there if name.startswith("export/")]:
            if not (self.path / name).exists():
                remove(f"{self.url}/{name}")
                self._there.remove(name)

    def close(self, step: int) -> None:
        """Copies what came after the last checkpoint, and says what the copy lacks."""
        self.send(step)
        if self._failed:
            kept = (
                "nothing from this launch" if self._kept is None else f"all up to step {self._kept}"
            )
            log.warning(
                "the copy in %s is not complete: it has %s; %s has all %d steps",
                self.shown, kept, self.path, step,
            )  # fmt: skip
