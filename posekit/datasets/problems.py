"""What is wrong with a file of labels, collected while it is read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from posekit.datasets.sources import Source
from posekit.errors import InputError

__all__ = ["Findings", "Problem", "raise_errors"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file of annotations.

    Attributes:
        file: the JSON.
        what: the problem, for one or more places.
        places: each place, such as "annotation 12 (image 5)"; empty if it is the whole file.
        fatal: an error; else a warning.
    """

    file: str
    what: str
    places: tuple[str, ...] = ()
    fatal: bool = True

    def __str__(self) -> str:
        if not self.places:
            return f"{self.file}: {self.what}"
        shown = ", ".join(self.places[:5])
        more = f" and {len(self.places) - 5} more" if len(self.places) > 5 else ""
        return f"{self.file}: {len(self.places)} x {self.what}: {shown}{more}"


@dataclass
class Findings:
    """Collects places per problem, in the order in which problems turn up."""

    source: Source
    places: dict[tuple[str, bool], list[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, place: str, fatal: bool = True) -> None:
        """Adds a problem in one place; with `skip_bad` it is never fatal."""
        self.places.setdefault((what, fatal and not self.source.skip_bad), []).append(place)

    def whole(self, what: str, fatal: bool = True) -> None:
        """Adds a problem of the whole file."""
        self.places.setdefault((what, fatal), [])

    def leave_out(self, what: str) -> None:
        """Counts what is rightly left out."""
        self.left_out[what] += 1

    def problems(self) -> list[Problem]:
        """All problems."""
        return [
            Problem(self.source.annotations, what, tuple(places), fatal)
            for (what, fatal), places in self.places.items()
        ]

    def reasons(self, annotations: int) -> str:
        """Why nothing is left of a file's annotations."""
        counts = [f"{len(places)} x {what}" for (what, _), places in self.places.items() if places]
        counts += [f"{count} x {what}" for what, count in self.left_out.items()]
        if counts:
            return ", ".join(counts)
        if annotations:
            return f"{annotations} annotations are of other categories or images"
        return "its list 'annotations' is empty"

    def explained(self, error: InputError) -> InputError:
        """The error, with the problems found before it."""
        counts = [f"{len(places)} x {what}" for (what, _), places in self.places.items() if places]
        return InputError(f"{error} ({', '.join(counts)})") if counts else error


def raise_errors(problems: Sequence[Problem]) -> None:
    """Logs what was left out or changed, and raises InputError with every error."""
    for problem in problems:
        if not problem.fatal:
            log.info("%s", problem)  # `validate` warns
    errors = [problem for problem in problems if problem.fatal]
    if not errors:
        return
    entries = any(problem.places for problem in errors)
    hint = "; leave the broken entries out with skip_bad: true" if entries else ""
    raise InputError("; ".join(map(str, errors)) + hint)
