"""Options of `posekit app`. Imports neither torch nor gradio."""

from __future__ import annotations

from dataclasses import dataclass

from posekit.config import resolve_name
from posekit.declared import option
from posekit.errors import InputError
from posekit.loading import DeviceOptions

__all__ = ["AppOptions"]

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class AppOptions(DeviceOptions):
    """The page and its server."""

    model: str = option("human", "the model selected at start, a name that `posekit models` lists")
    models: list[str] | None = option(
        None, "the only models that visitors may choose, such as `[demo,human]`; if unset, all"
    )
    host: str = option(
        "127.0.0.1",
        "the address to listen on; with `0.0.0.0`, everybody who can reach this machine can "
        "use the app",
    )
    port: int | None = option(
        None, "the port to listen on; if unset, the first free one from 7860", least=1, most=65535
    )
    share: bool = option(
        False,
        "also open a public link to this machine for a week, through a server of Hugging Face",
    )
    browser: bool = option(False, "open the page in this machine's browser")
    max_upload_mb: float = option(200, "the largest file that is accepted", unit="MB", above=0)
    max_pixels: int = option(
        50_000_000, "the most pixels of an image or video frame; larger ones are refused", least=1
    )
    max_seconds: float = option(
        600,
        "time limit of one visitor's video, and of an API call; the part done by then is kept",
        unit="seconds",
        above=0,
    )
    jobs: int = option(1, "videos processed at the same time; others wait", least=1)
    max_queue: int = option(
        16, "the most visitors and API calls that may wait; further ones are refused", least=1
    )
    keep_minutes: float = option(
        60,
        "how long an idle visitor's files are kept; files of one who leaves the page are "
        "deleted at once",
        unit="minutes",
        above=0,
    )

    def check(self) -> None:
        for name in self.models or ():
            resolve_name(name)
        if self.models is not None and not self.models:
            raise InputError("models is empty: name one, or leave it out")

    @property
    def most_bytes(self) -> int:
        """The largest file that may be sent, in bytes."""
        return round(self.max_upload_mb * MEGABYTE)
