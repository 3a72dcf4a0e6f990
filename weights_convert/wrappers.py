"""What training programs put around a network's entries: containers, prefixes, second copies.

A file may hold the weights more than once: as they were trained, and their moving average, which is
the one to evaluate. Whether the copies are in different places (`places`) or have different
prefixes (`views`), the average comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from weights_convert.unpickler import Entry

__all__ = ["View", "places", "views"]

T = TypeVar("T")

AVERAGES = (
    *("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "params_ema", "ema"),
    *("model_ema_state_dict", "ema_model_state_dict", "averaged_model"),
)
# Of OpenMMLab, MotionBERT, many others.
CONTAINERS = ("state_dict", "model_pos", "model", "model_state_dict", "model_state") + (
    *("net", "network", "params", "module", "weights"),
)
# What may stand among entries at the top.
NOT_ENTRIES = ("meta", "message_hub", "optimizer")

AVERAGE_PREFIXES = ("ema_model.", "model_ema.", "averaged_model.", "ema.", "teacher.")
PREFIXES = ("student.", "online_model.", "model.", "module.", "net.", "network.", "_model.")
# What compilers and wrappers for large networks leave at any level.
_INSERTED = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_FORWARD = "_forward_module."
# Numbers that averaging keeps beside its copy, and OpenMMLab's image normalisation.
_COUNTERS = re.compile(r"n_averaged|steps?|updates|initted|num_updates|data_preprocessor\..*")
_DEEPEST = 6  # of prefixes, such as `module._orig_mod.model.`


def places(contents: dict[Any, Any]) -> dict[str, dict[Any, Any]]:
    """The places that may hold the network's tensors: the keys that lead there, and the content.

    The first is the likeliest; without any of the known keys it is the whole file.
    """
    state = {key: value for key, value in contents.items() if key not in NOT_ENTRIES}
    found = dict(_containers(contents, (), 3))
    filled = {path: inner for path, inner in found.items() if _has_entries(inner)}
    return filled or ({"": state} if _has_entries(state) or not found else found)


def _has_entries(contents: dict[Any, Any]) -> bool:
    return any(isinstance(value, Entry) for value in contents.values())


def _containers(
    contents: dict[Any, Any], path: tuple[str, ...], depth: int
) -> Iterator[tuple[str, dict[Any, Any]]]:
    for key in _by_preference(contents):
        inner = contents.get(key)
        if not isinstance(inner, dict) or depth == 0:
            continue
        if _has_entries(inner):
            yield ".".join((*path, key)), inner
            continue
        deeper = list(_containers(inner, (*path, key), depth - 1))
        yield from deeper or [(".".join((*path, key)), inner)]


def _by_preference(contents: dict[Any, Any]) -> tuple[str, ...]:
    # mmengine swaps the two when it saves: what it calls the average is the other one.
    average = contents.get("ema_state_dict")
    if isinstance(average, dict) and "steps" in average and "state_dict" in contents:
        return ("state_dict", "ema_state_dict")
    return (*AVERAGES, *CONTAINERS)


@dataclass(frozen=True)
class View:
    """Entries without what was put around their names.

    Attributes:
        entries: under names that may be a network's.
        prefix: what was removed from these names.
        copies: prefixes of other copies, which are left out.
        dropped: names of entries that are left out and are not part of a copy.
    """

    entries: Mapping[str, Any]
    prefix: str = ""
    copies: tuple[str, ...] = field(default=())
    dropped: tuple[str, ...] = field(default=())


def views(entries: Mapping[str, Any]) -> Iterator[View]:
    """The ways to read a state dict's names; as they are comes first."""
    yield from _views(View(entries), _DEEPEST)
    # A part of the network was wrapped for itself.
    if any(".module." in key for key in entries):
        shorter = {re.sub(r"(?<![^.])module\.", "", key): value for key, value in entries.items()}
        if len(shorter) == len(entries):
            yield from _views(View(shorter, "module."), 0)


def _views(view: View, depth: int) -> Iterator[View]:
    yield view
    if depth == 0:
        return
    buffers = _averages_as_buffers(view.entries)
    if buffers:
        yield from _views(_without(view, buffers, copies=("ema_",)), depth - 1)
        return
    plain = {_INSERTED.sub("", key): value for key, value in view.entries.items()}
    if plain.keys() != view.entries.keys() and len(plain) == len(view.entries):
        prefix = view.prefix + "_orig_mod."
        yield from _views(View(plain, prefix, view.copies, view.dropped), depth - 1)
        return
    present = [prefix for prefix in _prefixes(view.entries) if _with(view.entries, prefix)]
    for prefix in present:
        inside = _with(view.entries, prefix)
        others = tuple(other for other in present if other != prefix)
        rest = tuple(
            key
            for key in view.entries
            if not key.startswith((prefix, *others)) and not _COUNTERS.fullmatch(key)
        )
        inner = View(
            {key.removeprefix(prefix): value for key, value in inside.items()},
            view.prefix + prefix,
            (*view.copies, *others),
            (*view.dropped, *rest),
        )
        yield from _views(inner, depth - 1)


def _with(entries: Mapping[str, T], prefix: str) -> dict[str, T]:
    return {key: value for key, value in entries.items() if key.startswith(prefix)}


def _without(view: View, names: set[str], *, copies: tuple[str, ...]) -> View:
    kept = {key: value for key, value in view.entries.items() if key not in names}
    return View(kept, view.prefix, (*view.copies, *copies), view.dropped)


def _prefixes(entries: Mapping[str, Any]) -> tuple[str, ...]:
    if any(key.startswith("distill_losses.") for key in entries):
        # Here the teacher is another network, from which the student has learnt.
        return ("student.", "teacher.")
    return (*AVERAGE_PREFIXES, *PREFIXES, _FORWARD)


def _averages_as_buffers(entries: Mapping[str, Any]) -> set[str]:
    """mmcv 0.x: `backbone.conv1.weight` has a second version `ema_backbone_conv1_weight`.

    Its own loader takes the first one.
    """
    second = {f"ema_{key.replace('.', '_')}" for key in entries}
    return second.intersection(entries)
