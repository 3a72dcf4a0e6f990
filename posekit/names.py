"""Names of keypoints: which side they tell, and which are spellings of one name.

`left_shoulder`, `Left Shoulder`, `LShoulder` and `shoulder-l` are one name, `legL1` and
`leg_1_left` another. A name becomes tokens: the side first, where it tells one, then words and
numbers.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from posekit.skeleton import Color

__all__ = ["Match", "all_tokens", "flip_indices", "match_names", "side_color", "side_note"]

Tokens = tuple[str, ...]

OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
LONG = {"l": "left", "r": "right", "f": "front", "b": "back"}
SIDES = ("left", "right")
# From this similarity on (difflib's ratio) a name may be a misspelling of another.
LIKE_ANOTHER = 0.8


class Match(NamedTuple):
    """The known name that each name stands for.

    Attributes:
        indices: indices of the known names; -1 for a name that is none of them.
        unclear: names that could be several, or that share theirs with another; their index is -1.
    """

    indices: list[int]
    unclear: list[str]


def all_tokens(names: Sequence[str]) -> list[Tokens]:
    """The tokens of each name.

    A side that is glued to its word by one letter counts only where its partner is there: `lhip` is
    the left hip where there is an `rhip`, so `leg` is no side.
    """
    words = [_words(name) for name in names]
    present = set(words)
    return [_tokens(entry, present) for entry in words]


def flip_indices(names: Sequence[str]) -> tuple[int, ...]:
    """For each name the index of its mirror image: its own if it has no single partner."""
    tokens = all_tokens(names)
    counts = Counter(tokens)
    index = {entry: i for i, entry in enumerate(tokens)}
    mirrored = []
    for i, entry in enumerate(tokens):
        partner = _partner(entry)
        clear = counts[entry] == counts[partner] == 1
        mirrored.append(index[partner] if clear else i)
    return tuple(mirrored)


def side_color(tokens: Sequence[str]) -> Color:
    """RGB of a keypoint: green for the left side, orange for the right, blue for neither."""
    side = next(iter(tokens), "")
    return {"left": (0, 255, 0), "right": (255, 128, 0)}.get(side, (51, 153, 255))


def side_note(names: Sequence[str]) -> str | None:
    """A sentence about every name that tells a side and has no partner; None if there is none.

    Names with a misspelt `left` or `right` are among them.
    """
    tokens, flip = all_tokens(names), flip_indices(names)
    alone = [i for i in range(len(names)) if flip[i] == i]
    spelled = {"_".join(tokens[i]): i for i in alone}
    listed = []
    for i in alone:
        if not tokens[i] or tokens[i][0] not in SIDES:
            if any(token in MISSPELT for token in tokens[i]):
                listed.append(names[i])
            continue
        wanted = "_".join(_partner(tokens[i]))
        others = [
            text for text, at in spelled.items() if at != i and _numbers(text) == _numbers(wanted)
        ]
        close = difflib.get_close_matches(wanted, others, n=1, cutoff=LIKE_ANOTHER)
        hint = f" (or is {names[spelled[close[0]]]} its partner?)" if close else ""
        listed.append(f"{names[i]}{hint}")
    if not listed:
        return None
    return (
        f"{len(listed)} keypoint names tell a side but have no partner on the other, so mirrored "
        f"images keep each where it is: {', '.join(listed)}; correct the names, write "
        "'flip_pairs' into a skeleton's YAML and name it with dataset.skeleton=FILE, or set "
        "augment.flip=0"
    )


def match_names(names: Sequence[str], known: Sequence[str]) -> Match:
    """Finds names among others: the same one, or else the only one in another spelling."""
    exact = {name: i for i, name in enumerate(known)}
    spelled: dict[str, list[int]] = {}
    for i, entry in enumerate(all_tokens(known)):
        spelled.setdefault(_key(entry), []).append(i)
    keys = [
        key if key in spelled else next(_guesses(name, spelled), key)
        for name, key in zip(names, map(_key, all_tokens(names)), strict=True)
    ]
    taken = {exact[name] for name in names if name in exact}
    wanted = Counter(key for name, key in zip(names, keys, strict=True) if name not in exact)
    indices, unclear = [], []
    for name, key in zip(names, keys, strict=True):
        found = [exact[name]] if name in exact else spelled.get(key, [])
        clear = len(found) == 1 and (name in exact or (wanted[key] == 1 and found[0] not in taken))
        indices.append(found[0] if clear else -1)
        if found and not clear:
            unclear.append(name)
    return Match(indices, unclear)


def _words(name: str) -> Tokens:
    """Lower case, parted at capitals, at numbers and at what is no letter."""
    parted = re.sub(
        r"[a-z](?=[A-Z])|[A-Z](?=[A-Z][a-z])|[^\W\d_](?=\d)|\d(?=[^\W\d_])", r"\g<0>_", name
    )
    return tuple(word for word in re.split(r"[\W_]+", parted.lower()) if word)


def _tokens(words: Tokens, present: set[Tokens]) -> Tokens:
    for side in ("left", "right", "l", "r"):
        if side in words:
            at = words.index(side)
            return _sided(side, words[:at] + words[at + 1 :])
    for side, rest, mirrored in _glued(words):
        if mirrored in present or side in SIDES:
            return _sided(side, rest)
    return tuple(LONG.get(word, word) for word in words)


def _sided(side: str, rest: Tokens) -> Tokens:
    return (LONG.get(side, side), *(LONG.get(word, word) for word in rest))


def _glued(words: Tokens) -> Iterator[tuple[str, Tokens, Tokens]]:
    """Sides at the start or end of a word, the words without it, and those of the mirror image."""
    for side in ("left", "right", "l", "r"):
        for i, word in enumerate(words):
            before, after = words[:i], words[i + 1 :]
            if word.startswith(side) and word != side:
                rest = word[len(side) :]
                yield side, (*before, rest, *after), (*before, OTHER[side] + rest, *after)
            if word.endswith(side) and word != side:
                rest = word[: -len(side)]
                yield side, (*before, rest, *after), (*before, rest + OTHER[side], *after)


def _partner(tokens: Tokens) -> Tokens:
    """Of the mirror image; the same for a name without a side."""
    if not tokens or tokens[0] not in SIDES:
        return tokens
    return (OTHER[tokens[0]], *tokens[1:])


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _key(tokens: Tokens) -> str:
    """A spelling without the gaps between words: `big_toe` is `bigtoe`, but 1_12 is not 11_2."""
    side = tokens[0] if tokens and tokens[0] in SIDES else ""
    text = "_".join(tokens[1:] if side else tokens)
    return f"{side}:" + re.sub(r"(?<!\d)_|_(?!\d)", "", text)


def _guesses(name: str, spelled: dict[str, list[int]]) -> Iterator[str]:
    """`lhip` without an `rhip` is the left hip where that is a name which is known."""
    for side, rest, _ in _glued(_words(name)):
        if (key := _key(_sided(side, rest))) in spelled:
            yield key


def _misspelt(word: str) -> set[str]:
    """One letter less, one twice, or two swapped."""
    cuts = [(word[:i], word[i:]) for i in range(len(word))]
    less = {start + end[1:] for start, end in cuts if len(word) > 4 or start}
    twice = {start + end[0] + end for start, end in cuts}
    swapped = {start + end[1] + end[0] + end[2:] for start, end in cuts if len(end) > 1}
    return (less | twice | swapped) - {word}


MISSPELT = (_misspelt("left") | _misspelt("right")) - {"let", "ight"}
