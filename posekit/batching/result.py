"""What a batch came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from posekit.batching.manifest import Entry
from posekit.table import format_table

__all__ = ["BatchResult"]

MAX_ROWS = 40


@dataclass(frozen=True)
class BatchResult:
    """The state of all clips of a batch.

    Attributes:
        entries: the latest attempt at each clip, in order; see `Entry`. Clips not yet tried are
            left out.
        now: number of clips tried in this run.
        left: number of clips not yet tried.
        seconds: duration of the run.
        interrupted: whether it was asked to stop.
        stopped: why it stopped by itself; None if it did not.
        folder: the folder of the results.
    """

    entries: Sequence[Entry]
    now: int
    left: int
    seconds: float
    interrupted: bool
    stopped: str | None
    folder: str

    @property
    def done(self) -> list[Entry]:
        """Clips with all their results."""
        return [entry for entry in self.entries if entry.status == "done"]

    @property
    def failed(self) -> list[Entry]:
        """Clips without results or with incomplete ones."""
        return [entry for entry in self.entries if entry.status != "done"]

    @property
    def ok(self) -> bool:
        """Whether every clip is done."""
        return not self.failed and not self.left and self.stopped is None

    def __str__(self) -> str:
        """Tables: what there is, and which clips are not done and why."""
        counts = Counter(entry.status for entry in self.entries)
        frames = Counter[str]()
        for entry in self.entries:
            frames[entry.status] += entry.frames
        rows = [
            (status, str(counts[status]), str(frames[status]))
            for status in ("done", "partial", "failed")
            if counts[status] or status == "done"
        ]
        if self.left:
            rows.append(("not tried", str(self.left), ""))
        parts = [format_table(("status", "clips", "frames"), rows)]
        if self.failed:
            shown = [(printable(one.name), one.status, printable(one.error or ""))
                     for one in self.failed[:MAX_ROWS]]  # fmt: skip
            parts.append(format_table(("clip", "status", "why"), shown))
            if len(self.failed) > MAX_ROWS:
                parts.append(f"... and {len(self.failed) - MAX_ROWS} more, see the manifest")
        before = len(self.entries) - self.now
        parts.append(
            f"{self.now} tried in {self.seconds:.1f} s, {before} before; results in "
            f"{printable(self.folder)}"
        )
        if self.stopped is not None:
            parts.append(
                f"stopped: {printable(self.stopped)}; run the same command again to resume"
            )
        elif self.interrupted or self.left:
            parts.append("run the same command again to resume")
        elif self.failed:
            parts.append("add retry_failed=true to the command to retry what failed")
        return "\n\n".join(parts)


def printable(text: str) -> str:
    """A name in one line, even if it is not valid text."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n")
