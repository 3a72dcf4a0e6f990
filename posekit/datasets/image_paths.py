"""Where the images of a label file are, whichever machine wrote its paths."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from posekit.datasets.archives import is_folder, is_remote, names_below, names_in, read_file
from posekit.datasets.problems import Findings
from posekit.datasets.sources import Source
from posekit.errors import InputError

__all__ = ["find_images", "is_file", "upright_size"]

# Keys that tools write instead of, or beside, `file_name`.
NAME_KEYS = (
    "file_name",
    *("path", "filename", "filepath", "file_path", "image_path", "img_path", "image", "file"),
    *("name", "coco_url", "url", "flickr_url"),
)
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
# Of a folder that is looked through for base names.
MOST_FILES = 1_000_000
# No path is longer; an image's pixels as text are.
MOST_LETTERS = 4000
# Values from 5 on turn the image by a quarter; OpenCV does so while it reads.
EXIF_ORIENTATION = 274
# So Label Studio names an upload: eight digits before the file's own name.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")


def find_images(
    source: Source, images: Sequence[Mapping[str, Any]], found: Findings
) -> list[str | None]:
    """The path of each image; None if it has no name, or an ambiguous one.

    A name is used as it is if that file exists: absolute, or in the folder of images. Otherwise its
    end is looked for there, from the whole path down to the base name (Windows' and other machines'
    paths, web addresses), then the base name anywhere in `source.images`. Spellings of one name
    (upper case, Unicode's forms) are one where that is unambiguous. If no file is found, the path
    is that of the name in the folder of images.

    Args:
        source: the label file; without `images`, its folder, `images/` in it or beside it, or the
            folder above is taken, the first in which one of the names is found.
        images: plain COCO's.
        found: collects what was replaced, and names that are missing or ambiguous.

    Raises:
        InputError: no image has a name, or none is found.
    """
    names = [_names(image) for image in images]
    finder = _finder(source, [some for some in names if some], images)
    paths: list[str | None] = []
    replaced: dict[str, list[tuple[str, str]]] = {}
    owners: dict[str, int] = {}
    guessed: set[str] = set()
    shared: set[str] = set()
    for row, (image, candidates) in enumerate(zip(images, names, strict=True)):
        path, how = finder.find(candidates, image)
        if path is None and not candidates:
            tried = ", ".join(NAME_KEYS[1:])
            place = f"image {image['id']} (nor {tried}, nor a file {image['id']}.jpg or the like)"
            found.add("images without 'file_name'", place)
        elif path is not None and how is not None:
            name = candidates[0] if candidates else str(image["id"])
            replaced.setdefault(how, []).append((name, path))
        if path is not None and path in owners and (how is not None or path in guessed):
            first = images[owners[path]]["id"]
            what = "images whose names lead to one file: give paths that tell them apart"
            found.add(what, f"{path} (images {first} and {image['id']})")
            shared.add(path)
        if path is not None:
            owners.setdefault(path, row)
            guessed |= {path} if how is not None else set()
        paths.append(path if path is not None else finder.plain(candidates))
    for how, pairs in replaced.items():
        name, path = pairs[0]
        found.whole(f"{len(pairs)} images are {how}: '{name}' is {path}", False)
    for name, several in finder.ambiguous.items():
        found.add("base names of several files: give paths", f"'{name}' is {', '.join(several)}")
    return [None if path in shared else path for path in paths]


def upright_size(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """(w, h) from the file's header, as the image is displayed; None if it is no image.

    Raises:
        InputError: a server or a store does not give it.
    """
    from PIL import Image

    try:
        opened = path if is_file(path) else io.BytesIO(read_file(path).tobytes())
    except OSError as error:
        if is_remote(path):
            raise InputError(f"image {path} cannot be read: {error.strerror or error}") from None
        return None
    try:
        with Image.open(opened) as image:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _names(image: Mapping[str, Any]) -> list[str]:
    """What the file may be called, the likeliest first; none where only the id is left."""
    named = [image.get(key) for key in NAME_KEYS]
    texts = [name for name in named if isinstance(name, str) and len(name) < MOST_LETTERS]
    return [name for name in texts if name.strip() and "\0" not in name]


def _finder(
    source: Source, names: Sequence[Sequence[str]], images: Sequence[Mapping[str, Any]]
) -> _Finder:
    if source.images is not None:
        if not is_folder(source.images):
            raise InputError(f"{source.annotations}: no such folder of images: {source.images}")
        return _Finder(Path(source.images), deep=True)
    if not images:
        raise InputError(f"{source.annotations}: no image in its list 'images' can be used")
    here = Path(source.annotations).resolve().parent
    folders = [here, here / "images", here.parent / "images", here.parent]
    # First what is there as it is called, in any of the folders, then what only resembles it.
    for exact in (True, False):
        for folder in folders:
            finder = _Finder(folder)
            for image in images[:50]:
                path, how = finder.find(_names(image), image)
                if path is not None and (how is None or not exact):
                    return _Finder(folder)
    shown = ", ".join(some[0] for some in names[:2]) or "named by their ids"
    web = any("://" in some[0] and not some[0].startswith("file:") for some in names[:50])
    hint = " (web addresses are not fetched: do so first)" if web else ""
    raise InputError(
        f"{source.annotations}: none of its images ({shown}, ...) lies in "
        f"{', '.join(map(str, folders))}; name their folder with 'images'{hint}"
    )


class _Finder:
    """Finds images in one folder; each folder in it is listed once.

    Args:
        folder: the folder of the images.
        deep: look for base names in the folders within, too.
    """

    def __init__(self, folder: Path, deep: bool = False) -> None:
        self.folder = folder
        self.deep = deep
        self.ambiguous: dict[str, list[str]] = {}
        self._listed: dict[str, frozenset[str]] = {}
        self._alike: dict[str, dict[str, list[str]]] = {}
        self._below: dict[str, list[str]] | None = None

    def plain(self, names: Sequence[str]) -> str | None:
        """Where the image would be by its name as it is."""
        return str(self.folder / names[0]) if names else None

    def find(self, names: Sequence[str], image: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """The path of an image, and how it was found if that needs a warning."""
        for i, name in enumerate(names):
            how = (
                None
                if i == 0 and name == image.get("file_name")
                else "named by another key than 'file_name'"
            )
            path = self._exact(name)
            if path is not None:
                return path, how
        for name in names:
            path, how = self._by_end(name)
            if path is not None:
                return path, how
        if not names:
            return self._by_id(image), "named only by their ids"
        return None, None

    def _exact(self, name: str) -> str | None:
        path = self.folder / name
        return str(path) if path.name in self._listing(str(path.parent)) else None

    def _by_end(self, name: str) -> tuple[str | None, str | None]:
        cleaned = _cleaned(name)
        parts = [part for part in cleaned.split("/") if part not in ("", ".", "..")]
        if not parts:
            return None, None
        if cleaned.startswith("/") and is_file(cleaned):
            return cleaned, "given by addresses of files"
        for start in range(len(parts)):
            path = self._exact("/".join(parts[start:])) or self._similar(parts[start:])
            if path is not None and parts[start:] == name.split("/"):
                return path, "spelled in another way (upper case, Unicode's form)"
            if path is not None:
                return path, "found only by the end of their path"
        path = self._exact(_UPLOAD.sub("", parts[-1]))
        if path is not None:
            return path, "found without the prefix that Label Studio gives"
        if is_file(name):
            return name, "found from the working folder"
        return self._anywhere(parts[-1]), "found by their base name in a folder within"

    def _similar(self, parts: Sequence[str]) -> str | None:
        """The only file whose name differs by case or by Unicode's form."""
        folder = str(self.folder.joinpath(*parts[:-1]))
        if folder not in self._alike:
            alike: dict[str, list[str]] = {}
            for base in self._listing(folder):
                alike.setdefault(_folded(base), []).append(base)
            self._alike[folder] = alike
        bases = self._alike[folder].get(_folded(parts[-1]), [])
        return str(Path(folder, bases[0])) if len(bases) == 1 else None

    def _by_id(self, image: Mapping[str, Any]) -> str | None:
        number = image["id"]
        for stem in (str(number), f"{number:012d}", f"{number:06d}"):
            for suffix in SUFFIXES:
                path = self._exact(stem + suffix)
                if path is not None:
                    return path
        return None

    def _anywhere(self, base: str) -> str | None:
        if not self.deep:
            return None
        if self._below is None:
            self._below = _files_below(self.folder)
        paths = self._below.get(_folded(base), [])
        if len(paths) > 1:
            self.ambiguous[base] = paths[:3]
        return paths[0] if len(paths) == 1 else None

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listed:
            self._listed[folder] = names_in(folder)
        return self._listed[folder]


def _files_below(folder: Path) -> dict[str, list[str]]:
    """Base name, folded -> the files that have it."""
    found: dict[str, list[str]] = {}
    for name in names_below(folder) or ():
        found.setdefault(_folded(name.rpartition("/")[2]), []).append(str(folder / name))
    count = 0
    for parent, _, bases in os.walk(folder):
        for base in bases:
            found.setdefault(_folded(base), []).append(str(Path(parent, base)))
        count += len(bases)
        if count > MOST_FILES:
            break
    return found


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file; False for what is no path, such as one that is too long."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _cleaned(name: str) -> str:
    """A path with slashes; of a web address, the part that names the file, percent-decoded."""
    name = name.strip()
    if re.match(r"^[a-zA-Z][a-zA-Z0-9+.-]+://", name):
        try:
            parts = urlsplit(name)
        except ValueError:
            return name
        name = parts.path
        local = parse_qs(parts.query).get("d")  # Label Studio's local files
        if local:
            name = local[0]
    elif "?" in name and "=" in name:
        path, _, query = name.partition("?")
        name = (parse_qs(query).get("d") or [path])[0]
    if "%" in name:
        name = unquote(name)
    name = name.replace("\\", "/")
    return re.sub(r"^/?[a-zA-Z]:(?=/)", "", name)
