"""posekit's own folders, and files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["CONF_DIR", "PACKAGED", "cache_dir", "write_atomically"]

_PACKAGE = Path(__file__).resolve().parent
# Inside an installed wheel conf/ lies in the package; in a checkout it lies beside it.
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

# Weights and a picture that come with the package.
PACKAGED = _PACKAGE / "packaged"


def cache_dir() -> Path:
    """The folder that holds converted weights in `models/` and unfinished ones in `downloads/`."""
    if named := os.environ.get("POSEKIT_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "posekit"


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file beside its place and moves it there, so that no half of it is ever seen."""
    # Not by mkstemp, whose files are for their owner only.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
