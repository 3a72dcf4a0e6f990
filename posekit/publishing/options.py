"""Options of `posekit push`, `download` and `mirror`. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from posekit.declared import Options, option

__all__ = ["DownloadOptions", "MirrorOptions", "PushOptions"]


@dataclass(frozen=True, kw_only=True)
class PushOptions(Options):
    """What is uploaded, and where to."""

    private: bool = option(False, "make the repository private, where it is made now")
    branch: str | None = option(
        None, "of the repository, which is made where it is not there; none: `main`"
    )
    license: str | None = option(None, "of the weights, such as `apache-2.0`, for the card")
    picture: str | os.PathLike[str] | None = option(
        None, "a picture that anybody may see: the card shows what the model finds in it"
    )
    dry_run: bool = option(False, "say which files would be uploaded, ask nobody, stop")


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(Options):
    """What is fetched, and where to."""

    to: str | os.PathLike[str] | None = option(
        None, "a folder that is `POSEKIT_CACHE` elsewhere; none: the cache of this machine"
    )
    detector: str | None = option(
        None, "another detector than the models' own, or `none`, as in `posekit predict`"
    )
    dry_run: bool = option(False, "say what would be fetched, stop")


@dataclass(frozen=True, kw_only=True)
class MirrorOptions(Options):
    """What is mirrored."""

    only: list[str] | None = option(
        None, "models: names, aliases, tasks or patterns such as `rtmpose-*`; none: all"
    )
    push: bool = option(False, "do it; else it is only said what would be done")
    private: bool = option(False, "make repositories private, where they are made now")
