"""`posekit download`: weights before their first use, also for an offline machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from posekit.commands.settings import read_settings
from posekit.errors import InputError
from posekit.publishing.options import DownloadOptions
from posekit.table import format_table

__all__ = ["download"]


def download(words: Sequence[str]) -> int:
    """Fetches models and those that they build on; prints the outcome for each.

    Args:
        words: names of models, and `key=value` of `DownloadOptions`.

    Returns:
        The exit status: 1 if one could not be fetched.

    Raises:
        UnknownModelError, InputError: an unknown name, or a wrong option.
    """
    names = [word for word in words if "=" not in word]
    options = read_settings([word for word in words if "=" in word], DownloadOptions)
    if not names:
        raise InputError("name a model: posekit download human")
    from posekit.publishing.prefetch import prefetch  # and with it PyTorch

    done = prefetch(names, options, lambda text: print(text, file=sys.stderr))
    rows = [(one.name, one.needed_by, _megabytes(one.size), one.state) for one in done]
    print(format_table(("model", "for", "MB", "state"), rows))
    failed = [one for one in done if one.state == "failed"]
    for one in failed:
        print(f"posekit: failed: {one.name}: {one.reason}", file=sys.stderr)
    if any(one.name.startswith("hf://") for one in done) and options.dry_run:
        print("the detector or 2D model of a Hub model is known once that is downloaded")
    if failed:
        print(f"{len(failed)} of {len(done)} failed; run the same command again to retry")
    elif options.dry_run:
        missing = [one for one in done if one.state == "missing"]
        size = sum(one.size or 0 for one in missing)
        print(f"dry run: nothing was downloaded; {len(missing)} networks, {_megabytes(size)} MB, "
              "would be")  # fmt: skip
    else:
        size = sum(one.size or 0 for one in done)
        print(f"{len(done)} networks, {_megabytes(size)} MB")
    if not failed and not options.dry_run and options.to is not None:
        print(f"on the offline machine, set POSEKIT_CACHE={options.to} HF_HUB_OFFLINE=1")
    return 1 if failed else 0


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f}"
