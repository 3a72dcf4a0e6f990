"""The settings that a batch's results depend on, kept beside them, and how two differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.errors import InputError
from posekit.files import sha256_of, write_whole
from posekit.version import __version__

if TYPE_CHECKING:
    from posekit.parts import Parts

__all__ = ["Settings", "settings_of", "stored_settings"]

FILE = "_batch.json"
# Digits of a hash that are shown.
SHOWN = 12


@dataclass(frozen=True)
class Settings:
    """What results depend on.

    Attributes:
        values: by name: version, models, weights, options.
        root: the folder that names of results are relative to.
    """

    values: Mapping[str, str]
    root: str

    @property
    def fingerprint(self) -> str:
        """A hash of the values."""
        text = json.dumps(dict(self.values), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:SHOWN]

    def differences(self, other: Settings) -> str:
        """How other settings differ, in words: "kpt_thr 0.3 -> 0.5"."""
        names = sorted({*self.values, *other.values})
        found = [(n, self.values.get(n, "unset"), other.values.get(n, "unset")) for n in names]
        return ", ".join(f"{n} {old} -> {new}" for n, old, new in found if old != new)

    def store(self, folder: Path) -> None:
        """Stores the settings in a folder of results.

        Raises:
            OutputError: they cannot be written.
        """
        about = {"fingerprint": self.fingerprint, "settings": dict(self.values), "root": self.root}
        write_whole(folder / FILE, json.dumps(about, indent=1).encode())


def stored_settings(folder: Path) -> Settings | None:
    """The settings of a folder of results; None if it has none.

    Raises:
        InputError: the file that has them is damaged.
    """
    path = folder / FILE
    try:
        found = json.loads(path.read_bytes())
        return Settings(dict(found["settings"]), str(found["root"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path} is damaged, or not written by posekit batch: how the folder's results were "
            "made is unknown; use another out_dir"
        ) from None


def settings_of(
    parts: Parts, loading: Mapping[str, Any], options: Mapping[str, Any], root: str
) -> Settings:
    """What the results of a batch depend on. Weights that are not here are fetched.

    Only the major and minor version of posekit count: a patch does not change results.

    Args:
        parts: the networks.
        loading: how they run; the device is left out, since a batch may use several.
        options: options of prediction and writing that differ from the defaults.
        root: see `Settings`.

    Raises:
        WeightsError, DownloadError: weights that cannot be had.
    """
    values = {"posekit": ".".join(__version__.split(".")[:2])}
    for kind, part in parts.named.items():
        values[kind] = part.spec.name
        text = json.dumps(part.spec.to_config(), sort_keys=True, default=str)
        values[f"{kind} configuration"] = hashlib.sha256(text.encode()).hexdigest()[:SHOWN]
        values[f"{kind} weights"] = _digest(part)[:SHOWN]
    for name, value in {**loading, **options}.items():
        if value is not None and name != "device":
            values[name] = json.dumps(value, default=str) if not isinstance(value, str) else value
    return Settings(values, root)


def _digest(part: Any) -> str:
    from posekit.weights.hub import resolve_weights

    spec = part.spec
    return sha256_of(resolve_weights(spec.name, part.weights, net=spec.net, key=part.key))
