"""Results in every format that can hold them, made from the table without the networks."""

from __future__ import annotations

import shutil
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

from posekit.app.jobs import Outcome, without_paths
from posekit.converting import convert
from posekit.errors import InputError, PosekitError
from posekit.files import prediction_formats
from posekit.io.read_table import read_table
from posekit.io.sinks import load_format, needs

__all__ = ["Offer", "made", "offers"]

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Offer:
    """A format.

    Attributes:
        name: as `formats` has it.
        about: what it is, in a line.
        refusal: why it cannot hold the result; empty where it can.
    """

    name: str
    about: str
    refusal: str = ""


def offers(outcome: Outcome) -> list[Offer]:
    """All formats, and why one does not fit."""
    table = read_table(outcome.table)
    found = []
    for name in prediction_formats():
        wanted = load_format(name)
        about = (wanted.__doc__ or name).strip().splitlines()[0].rstrip(".")
        refusal = ""
        if table.clip is None and needs([wanted], "time"):
            refusal = "it is for videos, and this is an image"
        elif check := getattr(wanted, "check", None):
            try:
                check(table.run)
            except PosekitError as error:
                refusal = without_paths(str(error))
        found.append(Offer(name, about, refusal))
    return found


def made(outcome: Outcome, name: str) -> Path:
    """The file of a format, made at the first call; several files come as a zip.

    Raises:
        InputError: no such format, or the result does not fit into it.
        OutputError: it cannot be written.
    """
    if name not in prediction_formats():
        raise InputError(f"no format is called {name[:40]!r}")
    if name == "parquet":
        return outcome.table
    folder = outcome.table.parent.parent / "formats" / name
    with _ONE_AT_A_TIME:
        if not folder.is_dir():
            try:
                convert(outcome.table, formats=name, out_dir=folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"there is nothing to write as {name}: nobody was found")
        return files[0] if len(files) == 1 else _zipped(folder, files, outcome, name)


def _zipped(folder: Path, files: list[Path], outcome: Outcome, name: str) -> Path:
    path = folder.with_name(f"{outcome.table.stem}.{name}.zip")
    if not path.is_file():
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())
    return path
