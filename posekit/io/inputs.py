"""Inputs -> the files, cameras, URLs and images that they name, looked up once.

The command line counts them, the writer never overwrites them, and the reader reads them: all three
use the same `Inputs`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.io.listing import (
    IMAGE_SUFFIXES,
    MOVING_SUFFIXES,
    Listing,
    Order,
    camera_number,
    check_type,
    is_pil,
    is_tensor,
    scheme_of,
)
from posekit.stages.packet import WHOLE, Cut, Stretch

__all__ = [
    "Camera",
    "Encoded",
    "Fault",
    "Files",
    "Images",
    "Inputs",
    "Later",
    "Named",
    "PartOfClip",
    "Picture",
    "Tensors",
    "check_inputs",
    "no_clip",
    "parse",
]


@dataclass(frozen=True, eq=False)
class Files:
    """The files that a path, a folder or a pattern stands for, in order."""

    paths: list[Path]


@dataclass(frozen=True, eq=False)
class PartOfClip:
    """Some frames of a video file, by their numbers."""

    path: Path
    stretch: Stretch


@dataclass(frozen=True)
class Camera:
    """`webcam` or `webcam:1`."""

    text: str
    number: int


@dataclass(frozen=True)
class Url:
    """The URL of a file on a server, or of a stream."""

    text: str
    scheme: str


@dataclass(frozen=True, eq=False)
class Images:
    """An image (H, W, 3), or a stack (N, H, W, 3) of them."""

    array: np.ndarray


@dataclass(frozen=True, eq=False)
class Tensors:
    """A tensor of an image, or of a stack of them."""

    tensor: Any


@dataclass(frozen=True, eq=False)
class Picture:
    """A PIL image."""

    image: Any


@dataclass(frozen=True, eq=False)
class Encoded:
    """The bytes of an image or video file, or an open file that has them."""

    data: bytes | Any

    @property
    def path(self) -> Path | None:
        """The open file's path; None if it has none."""
        name = getattr(self.data, "name", None)
        return Path(name) if isinstance(name, str) and Path(name).is_file() else None


@dataclass(frozen=True, eq=False)
class Later:
    """An iterable that is consumed as it is needed."""

    items: Iterable[Any]


@dataclass(frozen=True, eq=False)
class Fault:
    """Why an input cannot be used; reported when its turn comes."""

    text: str | None  # as it was named
    error: InputError


Named = Files | PartOfClip | Camera | Url | Images | Tensors | Picture | Encoded | Later | Fault


def parse(inputs: Any, listing: Listing) -> list[Named]:
    """What inputs name, in order; see `read_frames`. Nothing is opened, no iterator consumed."""
    if isinstance(inputs, np.ndarray):
        return [Images(inputs)]
    if isinstance(inputs, str | os.PathLike):
        return [_parse_text(os.fsdecode(inputs), listing)]
    if is_tensor(inputs):
        return [Tensors(inputs)]
    if is_pil(inputs):
        return [Picture(inputs)]
    if isinstance(inputs, bytes | bytearray | memoryview):
        return [Encoded(bytes(inputs))]
    if callable(getattr(inputs, "read", None)) and not isinstance(inputs, type):
        return [Encoded(inputs)]
    try:
        check_type(inputs)
    except InputError as error:
        return [Fault(None, error)]
    # Any other sequence may make its images only when it is asked for them.
    if not isinstance(inputs, list | tuple):
        return [Later(inputs)]
    return [named for item in inputs for named in parse(item, listing)]


def _parse_text(text: str, listing: Listing) -> Named:
    try:
        if (camera := camera_number(text)) is not None:
            return Camera(text, camera)
        if scheme := scheme_of(text):
            return Url(text, scheme)
        return Files(listing.files(text))
    except InputError as error:
        return Fault(text, error)


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of a call, looked up.

    Attributes:
        named: what they name, in order.
        listing: the rules of that look-up, also for items that an iterable gives later.
    """

    named: list[Named]
    listing: Listing

    @classmethod
    def of(
        cls,
        inputs: Any,
        *,
        recursive: bool = False,
        include: str | Sequence[str] | None = None,
        order: Order = "name",
    ) -> Inputs:
        """Looks inputs up, as `read_frames` takes them; an `Inputs` is only sorted anew.

        Raises:
            InputError: nothing that can be read, or a wrong option.
        """
        listing = Listing.of(recursive, include, order)
        if isinstance(inputs, Inputs):
            return inputs if inputs.listing.order == order else inputs._sorted(order)
        named = parse(inputs, listing)
        if not isinstance(inputs, list | tuple | str | os.PathLike):
            _check_one(named[0])
        return cls(named, listing)

    def _sorted(self, order: Order) -> Inputs:
        listing = dataclasses.replace(self.listing, order=order)
        return Inputs(
            [
                Files(listing.sorted(named.paths)) if isinstance(named, Files) else named
                for named in self.named
            ],
            listing,
        )

    @property
    def is_camera(self) -> bool:
        """Whether a camera is the only input."""
        return len(self.named) == 1 and isinstance(self.named[0], Camera)

    @property
    def may_wait(self) -> bool:
        """Whether the next image may depend on a result or on time: an iterator, a camera."""
        return any(isinstance(named, Later | Camera) for named in self.named)

    def check(self) -> None:
        """Checks that files, folders and patterns exist, and that there is any input at all.

        Raises:
            InputError: something is missing.
        """
        for named in self.named:
            if isinstance(named, Fault):
                raise named.error
        if self.count() == 0:
            raise InputError("inputs is empty: name an image, a video or a folder")

    def check_cut(self, cut: Cut) -> None:
        """Refuses a part of a clip if all inputs are images.

        Raises:
            InputError: they are.
        """
        if cut != WHOLE and self.count() is not None:
            raise no_clip("inputs has images only")

    def count(self) -> int | None:
        """The number of frames; None with videos, URLs or iterators."""
        counts = [_count(named) for named in self.named]
        return None if None in counts else sum(count for count in counts if count is not None)

    def files(self) -> list[Path]:
        """The files that will be read, as far as they are known in advance."""
        found: list[Path] = []
        for named in self.named:
            if isinstance(named, Files):
                found += named.paths
            elif isinstance(named, Encoded) and named.path is not None:
                found.append(named.path)
            elif isinstance(named, Picture) and (name := getattr(named.image, "filename", "")):
                found.append(Path(os.fsdecode(name)))
            elif isinstance(named, PartOfClip):
                found.append(named.path)
            elif isinstance(named, Later) and isinstance(named.items, Sequence):
                found += Inputs(parse(list(named.items), self.listing), self.listing).files()
        return found


def _count(named: Named) -> int | None:
    if isinstance(named, Images | Tensors):
        array = named.array if isinstance(named, Images) else named.tensor
        return len(array) if array.ndim == 4 else 1
    if isinstance(named, Picture):
        return 1
    if isinstance(named, Files):
        images = IMAGE_SUFFIXES - MOVING_SUFFIXES
        known = all(path.suffix.lower() in images for path in named.paths)
        return len(named.paths) if known else None
    return None


def _check_one(named: Named) -> None:
    if isinstance(named, Fault):
        raise named.error


def no_clip(found: str) -> InputError:
    """The error for an image when a part of a clip was asked for."""
    return InputError(f"start, end and stride apply to videos and streams: {found}; leave them out")


def check_inputs(
    inputs: Any, *, recursive: bool = False, include: str | Sequence[str] | None = None
) -> int | None:
    """Checks that files, folders and patterns exist. Nothing is decoded, no iterator consumed.

    Returns:
        The number of frames to come; None with videos, URLs or iterators.

    Raises:
        InputError: no such file, a folder without images, a pattern that nothing matches, an empty
            list, or another type.
    """
    looked_up = Inputs.of(inputs, recursive=recursive, include=include)
    looked_up.check()
    return looked_up.count()
