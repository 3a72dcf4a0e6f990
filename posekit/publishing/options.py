"""Options of `posekit push`, `download` and `mirror`. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from posekit.declared import Options, option

__all__ = ["DownloadOptions", "MirrorOptions", "PushOptions"]


@dataclass(frozen=True, kw_only=True)
class PushOptions(Options):
    """What is uploaded, and where to."""

    private: bool = option(False, "make the repository private, if it is created now")
    branch: str | None = option(
        None, "branch of the repository, created if missing; if unset, `main`"
    )
    license: str | None = option(
        None, "licence of the weights for the model card, such as `apache-2.0`"
    )
    picture: str | os.PathLike[str] | None = option(
        None, "an image that may be public: the card shows what the model finds in it"
    )
    dry_run: bool = option(False, "list the files that would be uploaded and stop; nothing is sent")


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(Options):
    """What is fetched, and where to."""

    to: str | os.PathLike[str] | None = option(
        None,
        "a folder to use as `POSEKIT_CACHE` on another machine; if unset, the cache of this "
        "machine",
    )
    detector: str | None = option(
        None, "a detector to use instead of the models' own, or `none`, as in `posekit predict`"
    )
    dry_run: bool = option(False, "list what would be downloaded and stop")


@dataclass(frozen=True, kw_only=True)
class MirrorOptions(Options):
    """What is mirrored."""

    only: list[str] | None = option(
        None,
        "models to mirror: names, aliases, tasks or patterns such as `rtmpose-*`; if unset, all",
    )
    push: bool = option(False, "upload; without it, only list what would be done")
    private: bool = option(False, "make new repositories private")
