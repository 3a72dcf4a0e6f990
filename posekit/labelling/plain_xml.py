"""XML files from others, read without what XML can do to its reader."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from posekit.errors import InputError

__all__ = ["Element", "read_xml"]

Element = ElementTree.Element


def read_xml(path: Path) -> Element:
    """The root of a file.

    Files that declare a document type are refused: its entities can expand to more than memory
    holds, or name files of this machine. No labelling tool writes one.

    Raises:
        InputError: no such file, not XML, or a document type; names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    # Also of UTF-16, whose letters have a zero byte between them.
    if re.search(rb"<!(DOCTYPE|ENTITY)", data.replace(b"\0", b""), re.IGNORECASE):
        raise InputError(
            f"{path} declares a document type, which is not supported: it can expand without end"
        )
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        line, column = error.position
        what = str(error).partition(":")[0]
        raise InputError(
            f"{path} is not valid XML: line {line}, column {column + 1}: {what}"
        ) from None
    except (LookupError, ValueError) as error:  # an encoding that is unknown
        raise InputError(f"{path} is not valid XML: {error}") from None
