"""What `posekit app` can be told. Light: no torch, no gradio."""

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

    model: str = option("human", "the model that the page begins with, as `posekit models` has it")
    models: list[str] | None = option(
        None, "the only models that visitors may choose, such as `[demo,human]`; left out, all"
    )
    host: str = option(
        "127.0.0.1",
        "the address that the server listens at; `0.0.0.0` lets other machines in, and everybody "
        "who reaches it may use it",
    )
    port: int | None = option(
        None, "left out, the first free one from 7860 on", least=1, most=65535
    )
    share: bool = option(
        False, "also a public link for a week, through a server of Hugging Face's, to this machine"
    )
    browser: bool = option(False, "open the page in the browser of this machine")
    max_upload_mb: float = option(200, "of a file that is sent", unit="MB", above=0)
    max_pixels: int = option(
        50_000_000, "of a picture, or of a frame; larger ones are refused", least=1
    )
    max_seconds: float = option(
        600,
        "how long one visitor's clip is computed, and how long a caller of the API waits; what was "
        "done until then stays",
        unit="seconds",
        above=0,
    )
    jobs: int = option(1, "clips that are computed at the same time; others wait", least=1)
    max_queue: int = option(
        16, "visitors that may wait, and pictures of the API; further ones are refused", least=1
    )
    keep_minutes: float = option(
        60,
        "files of a visitor who does nothing stay for so long; those of one who leaves the page go "
        "at once",
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
        """Of a file that is sent."""
        return round(self.max_upload_mb * MEGABYTE)
