"""The pictures that labels are of: where they lie, how large they are, frames of clips as files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from posekit.datasets.image_paths import find_images, is_file, upright_size
from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.files import make_folder, write_whole
from posekit.io.images import encode_jpeg
from posekit.io.sequence import open_clip
from posekit.labelling.label_set import Image, LabelSet, Person

__all__ = ["find_pictures", "write_frames", "write_jpeg"]

THREADS = 16
# What a folder of frames may call them, beside the name that the labels have.
FRAME_NAMES = ("frame_{:06d}.jpg", "{:06d}.jpg", "{:06d}.png", "frame_{:06d}.png")


def find_pictures(labels: LabelSet, folder: Path | None, frames: Path, found: Findings) -> None:
    """Gives each image its file and its size, and leaves out what has none.

    Args:
        labels: its images get `path` and `size`, its people pixels in place of shares.
        folder: of the pictures, or a clip; None looks beside the labels.
        frames: the folder that frames of clips are written to.
        found: takes what is missing, and what was found in another way than by its name.

    Raises:
        InputError: none is found.
        OutputError: a frame cannot be written.
    """
    clip = folder if folder is not None and not folder.is_dir() else None
    if clip is not None and not clip.is_file():
        raise InputError(f"images: no such folder or video: {clip}")
    of_clips = [image for image in labels.images if image.frame is not None and image.path is None]
    if of_clips and (clip is not None or not _found_as_files(of_clips, folder, found)):
        write_frames(of_clips, clip, frames, found)
    if clip is not None and not of_clips:
        raise InputError(
            f"images: {clip} is a file, but the labels are of images: name their folder"
        )
    rest = [i for i in labels.images if i.path is None and i.frame is None and i.pixels is None]
    if rest:
        try:
            _look_up(rest, folder if clip is None else None, found)
        except InputError:
            if len(rest) == len(labels.images):
                raise
            # Some lie where the labels say; these are missing, which `_measure` says of each.
    _measure(labels, found)


def _found_as_files(images: Sequence[Image], folder: Path | None, found: Findings) -> bool:
    """Whether all frames lie there as pictures, as CVAT exports them."""
    trial = Findings(found.source)
    try:
        _look_up(images, folder, trial)
    except InputError:
        return False
    if all(image.path is not None and is_file(image.path) for image in images):
        return True
    for image in images:
        image.path = None
    return False


def _look_up(images: Sequence[Image], folder: Path | None, found: Findings) -> None:
    stated = found.source.annotations
    # Pictures are looked for beside a file.
    inside = str(Path(stated, "labels")) if Path(stated).is_dir() else stated
    entries = []
    for number, image in enumerate(images):
        entry = {"id": number, "file_name": image.name}
        if image.frame is not None:
            keys = ("path", "filename", "filepath", "file_path")
            names = (name.format(image.frame) for name in FRAME_NAMES)
            entry.update(zip(keys, names, strict=True))
        entries.append(entry)
    where = None if folder is None else str(folder)
    source = replace(found.source, annotations=inside, images=where)
    try:
        paths = find_images(source, entries, found)
    except InputError as error:
        raise InputError(str(error).replace(f"{inside}: ", f"{stated}: ", 1)) from None
    for image, path in zip(images, paths, strict=True):
        image.path = None if path is None else Path(path)


def _measure(labels: LabelSet, found: Findings) -> None:
    """Sizes by the files' headers; images without a readable file are left out."""
    with ThreadPoolExecutor(THREADS) as pool:
        sizes = list(pool.map(_size_of, labels.images))
    kept = []
    for image, size in zip(labels.images, sizes, strict=True):
        if image.path is None or not is_file(image.path):
            found.add("images that are missing", str(image.path or image.name))
        elif size is None:
            found.add("images that are not readable", str(image.path))
        elif image.size is not None and image.size != size:
            what = "images of another size than their labels say, so the labels do not fit"
            stated = "x".join(map(str, image.size))
            found.add(what, f"{image.path} is {size[0]}x{size[1]}, labels say {stated}")
        else:
            image.size = size
            if image.shares:
                image.people = [_in_pixels(person, size) for person in image.people]
                image.shares = False
            kept.append(image)
    labels.images[:] = kept


def _size_of(image: Image) -> tuple[int, int] | None:
    return None if image.path is None else upright_size(image.path)


def _in_pixels(person: Person, size: tuple[int, int]) -> Person:
    w, h = size
    box = person.box
    return replace(
        person,
        points=[(x * w, y * h, v) for x, y, v in person.points],
        box=None if box is None else (box[0] * w, box[1] * h, box[2] * w, box[3] * h),
    )


def write_frames(images: Sequence[Image], clip: Path | None, folder: Path, found: Findings) -> None:
    """Writes frames of clips as JPEG, `<folder>/<clip>/000012.jpg`, and sets their paths.

    Args:
        images: the frames.
        clip: the clip that they are all of; None if each names its own.
        folder: for the pictures.
        found: takes frames that a clip does not have.

    Raises:
        InputError: a clip is not there, or cannot be read.
        OutputError: a picture cannot be written.
    """
    by_clip: dict[Path, list[Image]] = {}
    for image in images:
        assert image.video is not None
        if image.pixels is not None:
            pixels = np.asarray(image.pixels())
            pixels = pixels[..., ::-1] if pixels.shape[-1] == 3 else pixels
            image.path = folder / image.video.stem / f"{image.frame:06d}.jpg"
            write_jpeg(image.path, np.ascontiguousarray(pixels))
        else:
            by_clip.setdefault(image.video, []).append(image)
    if clip is not None and len(by_clip) > 1:
        listed = ", ".join(str(path) for path in by_clip)
        raise InputError(f"images: the labels are of several clips, {listed}; name their folder")
    for video, frames in by_clip.items():
        _write_clip(clip or _find_clip(video, found), frames, folder / video.stem, found)


def _find_clip(video: Path, found: Findings) -> Path:
    labels = Path(found.source.annotations)
    here = labels if labels.is_dir() else labels.parent
    name = str(video).replace("\\", "/")
    tried = [Path(name), here / name, here / Path(name).name]
    if found.source.images:
        tried.insert(0, Path(found.source.images, Path(name).name))
    path = next((path for path in tried if is_file(path)), None)
    if path is None:
        raise InputError(
            f"{labels}: its labels are of frames of '{video}', which is not there; name it, or the "
            "folder of its frames: images=CLIP"
        )
    return path


def _write_clip(path: Path, images: Iterable[Image], folder: Path, found: Findings) -> None:
    wanted: dict[int, list[Image]] = {}
    for image in images:
        wanted.setdefault(image.frame or 0, []).append(image)
    with open_clip(path) as clip:
        for number, (pixels, _) in enumerate(clip):
            for image in wanted.pop(number, ()):
                image.path = folder / f"{number:06d}.jpg"
                write_jpeg(image.path, pixels)
            if not wanted:
                break
    for number in wanted:
        found.add(f"frames that {path} does not have", str(number))


def write_jpeg(path: Path, pixels: np.ndarray) -> None:
    """A picture (H, W, 3), BGR, or (H, W), uint8, as a file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    make_folder(path.parent)
    write_whole(path, encode_jpeg(pixels))
