"""The files that belong to a file of weights, and the file of weights in a folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from weights_convert.beside import located_beside
from weights_convert.errors import ConversionError
from weights_convert.external import external_files

__all__ = [
    "companions",
    "content_digest",
    "file_in_folder",
    "is_index",
    "read_index",
]

# What programs call the weights of a model's folder, the first that is there.
_USUAL = (
    "model.safetensors",
    "model.safetensors.index.json",
    "export/model.safetensors",  # of a run of `posekit train`
)
_USUAL_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_MAX_INDEX = 64 << 20  # bytes; a thousand entries have a tenth of a megabyte


def file_in_folder(folder: Path) -> Path:
    """The file of weights of a model's folder, such as a snapshot from the Hugging Face Hub.

    Args:
        folder: folder in transformers' layout (`model.safetensors`, also in shards, or
            `pytorch_model.bin`), in posekit's, or with a single file of weights; a repository's
            folder in the cache stands for its only snapshot.

    Raises:
        ConversionError: no file of weights, or several possible ones.
    """
    snapshots = [path for path in folder.glob("snapshots/*") if path.is_dir()]
    if len(snapshots) == 1:
        (folder,) = snapshots
    for names, pattern in ((_USUAL, "*.safetensors"), (_USUAL_PICKLES, "*.bin *.pth *.pt *.onnx")):
        if usual := [folder / name for name in names if (folder / name).is_file()]:
            return usual[0]
        found = sorted(
            path for kind in pattern.split() for path in folder.glob(kind) if path.is_file()
        )
        if len(found) == 1:
            return found[0]
        if found:
            names_found = ", ".join(path.name for path in found[:5])
            raise ConversionError(
                f"expected one file of weights in {folder}, found {len(found)}: {names_found}; "
                "name the file"
            )
    inside = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    raise ConversionError(f"expected weights such as model.safetensors in {folder}, found {inside}")


def companions(path: Path) -> list[Path]:
    """The other files that hold part of a file's weights.

    These are shards, an ONNX graph's external data, and the `.bin` beside OpenVINO's XML.

    Raises:
        ConversionError: one that is missing, or not beside the file.
    """
    with path.open("rb") as file:
        head = file.read(9)
    if is_index(head):
        return sorted(set(read_index(path).values()))
    if head.startswith((b"<?xml", b"<net ")):
        return [beside] if (beside := path.with_suffix(".bin")).is_file() else []
    from weights_convert.onnx_file import starts_onnx

    return external_files(path) if starts_onnx(head) else []


def content_digest(path: Path) -> str:
    """The SHA-256 of a file, and of those that belong to it, in hexadecimal digits."""
    digest = hashlib.sha256()
    for part in (path, *companions(path)):
        digest.update(part.stat().st_size.to_bytes(8, "little"))
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def is_index(head: bytes) -> bool:
    """Whether a file that begins like this may be an index of shards: JSON, not safetensors."""
    is_safetensors = head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32
    return head.lstrip().startswith(b"{") and not is_safetensors


def read_index(path: Path) -> dict[str, Path]:
    """The file of each entry in an index of shards, as transformers and diffusers write it.

    Raises:
        ConversionError: another kind of JSON, or a shard that is missing or elsewhere.
    """
    if path.stat().st_size > _MAX_INDEX:
        raise ConversionError(f"{path}: expected an index of shards, found too large a file")
    try:
        weight_map = json.loads(path.read_bytes())["weight_map"]
        names = {str(key): str(name) for key, name in weight_map.items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise ConversionError(
            f'{path}: expected an index of shards with a "weight_map", found other or damaged JSON'
        ) from None
    if not names:
        raise ConversionError(f"{path}: expected an index of shards, found an empty one")
    try:
        places = {name: located_beside(path, name) for name in set(names.values())}
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    return {key: places[name] for key, name in names.items()}
