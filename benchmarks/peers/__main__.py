"""posekit beside what users compare it with, on the same weights, section by section.

    python -m benchmarks.peers [SECTION ...] [--clip CLIP.mp4 --detector rtmdet_nano.pth] [--fast]
        [--frames 24] [--rounds 5]

It needs rtmlib and transformers. All programs of a section take turns in every round, after one
that warms up, and ratios are of medians in this one run. Without a clip scenes are drawn. With
`--detector`, trained weights of RTMDet-nano, the section `clip` has the people that it finds;
elsewhere weights are random and the people made up, as many for each program
(`benchmarks/peers/pairs.py`). Trackers follow keypoints, and those of random weights lose people,
which the last column shows. `--fast` takes fewer frames and rounds: all sections in ten minutes on
two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.common import DETECTOR, MODEL, machine

__all__ = ["SECTIONS", "main"]


@dataclass(frozen=True)
class Setup:
    """What all sections are measured with.

    Attributes:
        clip: a video; None draws scenes.
        detector: trained weights of `DETECTOR`; None takes random ones.
        frames: of a clip.
        rounds: behind a median.
        fast: take only what there is to know first.
        files: folder for weights, exports and clips.
        named: backends that were asked for; none takes what each section has.
    """

    clip: str | None
    detector: Path | None
    frames: int
    rounds: int
    fast: bool
    files: Path
    named: tuple[str, ...] = ()

    def some_backends(self, fewest: Sequence[str] = ("auto",)) -> list[str]:
        """Those that were named, or a few."""
        return list(self.named or fewest)

    @property
    def backends(self) -> list[str]:
        """Those that were named, or all that can run here, `auto` last."""
        if self.named:
            return list(self.named)
        import torch

        from posekit.backends import why_unavailable
        from posekit.backends.kinds import auto_candidates

        cpu = torch.device("cpu")
        return [*(k for k in auto_candidates() if why_unavailable(k, cpu) is None), "auto"]

    def reduced(self, frames: int) -> Setup:
        """With at most that many frames."""
        return dataclasses.replace(self, frames=min(self.frames, frames))


def clip(setup: Setup) -> None:
    """RTMDet-nano and RTMPose-m, with all backends."""
    from benchmarks.peers.pairs import Pair

    people = None if setup.detector is not None else 6
    source = _clip(setup, "clip.mp4")
    pair = Pair(DETECTOR, MODEL, "Custom", source, people, setup.files, setup.detector)
    _compare(setup, pair, "960x540", backends=setup.backends, eight_bits=True)


def published(setup: Setup) -> None:
    """RTMDet-m and RTMPose-m, the pair as it is published."""
    from benchmarks.peers.pairs import Pair

    setup = setup.reduced(8)
    source = _clip(setup, "published.mp4")
    pair = Pair("rtmdet-m_person-640", MODEL, "Custom", source, 6, setup.files)
    _compare(
        setup, pair, "960x540", backends=setup.some_backends() if setup.fast else setup.backends
    )


def defaults(setup: Setup) -> None:
    """What rtmlib's solutions take by default (`balanced`), or their lighter ones with `--fast`."""
    from benchmarks.peers.pairs import Pair

    setup = setup.reduced(6)
    source = _clip(setup, "defaults.mp4")
    size, detector = ("s", "yolox-tiny_humanart-416") if setup.fast else ("m", YOLOX)
    whole = f"rtmw-{'m' if setup.fast else 'l'}_cocktail14-256x192"
    for solution, pose in (
        ("Body", f"rtmpose-{size}_body8-256x192"),
        ("BodyWithFeet", f"rtmpose-{size}_body8-halpe26-256x192"),
        ("Wholebody", whole),
    ):
        pair = Pair(detector, pose, solution, source, 6, setup.files)
        _compare(setup, pair, "960x540", backends=setup.some_backends(), tracker=solution == "Body")


YOLOX = "yolox-m_humanart-640"


def crowds(setup: Setup) -> None:
    """1 and 20 people."""
    from benchmarks.peers.pairs import Pair

    setup = setup.reduced(8)
    source = _clip(setup, "crowds.mp4")
    for people in (1, 20):
        pair = Pair(DETECTOR, MODEL, "Custom", source, people, setup.files)
        _compare(setup, pair, "960x540", backends=setup.some_backends(), tracker=False)


def large(setup: Setup) -> None:
    """1080p."""
    from benchmarks.peers.pairs import Pair

    setup = setup.reduced(8)
    source = _clip(setup, "large.mp4", (1920, 1080))
    pair = Pair(DETECTOR, MODEL, "Custom", source, 6, setup.files)
    _compare(setup, pair, "1920x1080", backends=setup.some_backends(), tracker=False)


def folder(setup: Setup) -> None:
    """A folder of JPEG files of four sizes."""
    from benchmarks.peers.inputs import folder_of
    from benchmarks.peers.pairs import Pair

    setup = setup.reduced(8)
    source = folder_of(setup.clip, setup.frames, setup.files / "pictures")
    pair = Pair(DETECTOR, MODEL, "Custom", source, 6, setup.files)
    _compare(setup, pair, "a folder of pictures", backends=setup.some_backends(), tracker=False)


def vitpose(setup: Setup) -> None:
    """transformers' ViTPose-b with both heads."""
    from benchmarks.peers.vitpose import compare_heads

    compare_heads(setup.rounds, 4 if setup.fast else 8)


def one_stage(setup: Setup) -> None:
    """RTMO-s beside RTMDet-m and RTMPose-m at 1, 6 and 20 people."""
    from benchmarks.peers.one_stage import compare_one_stage

    setup = setup.reduced(2 if setup.fast else 6)
    backends = setup.some_backends(["auto"] if setup.fast else ["auto", "torch"])
    compare_one_stage(setup.clip, setup.frames, setup.rounds, setup.files, backends)


SECTIONS: dict[str, Callable[[Setup], None]] = {
    function.__name__: function
    for function in (clip, published, defaults, crowds, large, folder, vitpose, one_stage)
}


def _clip(setup: Setup, name: str, size: tuple[int, int] = (960, 540)) -> Path:
    from benchmarks.peers.inputs import clip_of

    return clip_of(setup.clip, setup.frames, setup.files / name, size)


def _compare(
    setup: Setup,
    pair: object,
    seen: str,
    *,
    backends: Sequence[str],
    tracker: bool = True,
    eight_bits: bool = False,
) -> None:
    """A table of both programs with one pair of networks."""
    from benchmarks.peers.pairs import Pair, posekit_programs, rtmlib_programs
    from benchmarks.peers.turns import print_comparison

    assert isinstance(pair, Pair)
    programs = rtmlib_programs(pair, tracker=tracker)
    base = next(iter(programs))
    programs |= posekit_programs(pair, backends, interval=tracker, eight_bits=eight_bits)
    found = "people found" if pair.people is None else f"{pair.people} people made up"
    title = f"{pair.detector} and {pair.pose}, {seen}, {found}"
    print_comparison(title, programs, base=base, images=setup.frames, rounds=setup.rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--clip", help="a video; left out, scenes are drawn")
    parser.add_argument("--detector", type=Path, help="trained weights of " + DETECTOR)
    parser.add_argument("--fast", action="store_true", help="fewer frames, rounds and backends")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--backends", nargs="+", default=(), help="in place of each section's own")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.sections if name not in SECTIONS]:
        parser.error(f"no section {unknown[0]!r}: choose among {', '.join(SECTIONS)}")
    for key in ("frames", "rounds"):
        if (value := getattr(chosen, key)) is not None and value < 1:
            parser.error(f"--{key} must be at least 1, found {value}")
    if chosen.detector is not None and chosen.clip is None:
        parser.error("--detector finds people in photographs: give --clip too")
    print(f"{machine()}; {', '.join(map(_named, PACKAGES))}", flush=True)
    failed = False
    for name in chosen.sections or SECTIONS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as files:
            setup = Setup(
                clip=chosen.clip,
                detector=chosen.detector,
                frames=chosen.frames or (4 if chosen.fast else 24),
                rounds=chosen.rounds or (2 if chosen.fast else 5),
                fast=chosen.fast,
                files=Path(files),
                named=tuple(chosen.backends),
            )
            try:
                SECTIONS[name](setup)
            except ImportError as error:  # of a program that is not installed
                failed = True
                print(f"\n{name}: {error}")
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return 1 if failed else 0


PACKAGES = ("rtmlib", "transformers", "onnxruntime", "openvino")


def _named(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


if __name__ == "__main__":
    sys.exit(main())
