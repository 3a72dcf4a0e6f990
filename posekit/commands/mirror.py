"""`posekit mirror`: the published models in an organisation of the Hub."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence

from posekit.commands.settings import read_settings
from posekit.errors import InputError
from posekit.hub_client import is_offline
from posekit.publishing.options import MirrorOptions

__all__ = ["mirror"]


def mirror(organisation: str, settings: Sequence[str]) -> int:
    """Uploads models, or says which ones; a line for each, and a summary.

    Args:
        organisation: of the Hub.
        settings: `key=value` of `MirrorOptions`.

    Returns:
        The exit status: 1 if one failed or is refused.

    Raises:
        InputError: not the name of an organisation, a wrong option, or `only` names nothing.
        DownloadError: the Hub cannot be asked.
    """
    if not re.fullmatch(r"\w[\w.-]*", organisation, re.ASCII):
        raise InputError(f"expected the name of an organisation of the Hub, found '{organisation}'")
    options = read_settings(settings, MirrorOptions)
    if is_offline():
        raise InputError("a mirror is filled over the network; unset HF_HUB_OFFLINE")
    from posekit.publishing.mirror import mirror_rows, select  # and with it PyTorch

    rows = select(options.only)
    counts: Counter[str] = Counter()
    for done in mirror_rows(organisation, rows, options, lambda text: print(text, file=sys.stderr)):
        counts[done.state] += 1
        print(f"{done.name}: {done.state}" + (f": {done.reason}" if done.reason else ""))
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    print("8-bit files (weights=int8) are not mirrored: upload your own as model-int8.onnx beside "
          "model.safetensors")  # fmt: skip
    if not options.push:
        print("nothing was uploaded: set push=true to upload")
    return 1 if counts["failed"] or counts["refused"] else 0
