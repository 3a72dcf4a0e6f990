"""Source state dict -> posekit state dict, by a table of rules, with nothing left over."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from weights_convert import openmmlab
from weights_convert.errors import ConversionError

__all__ = ["LAYOUTS", "convert_state_dict"]

# layout -> network class -> rules
LAYOUTS = {"openmmlab": openmmlab.RULES}


def convert_state_dict(
    state: Mapping[str, Tensor], *, net: nn.Module, layout: str = "openmmlab"
) -> dict[str, Tensor]:
    """Renames the entries of a foreign checkpoint to those of a posekit network.

    Args:
        state: the source's entries, in its own layout.
        net: the network to fill; only its keys and shapes are read, so it may be on `meta`.
        layout: which program wrote the checkpoint, a key of `LAYOUTS`.

    Returns:
        The entries under `net`'s keys, in `net`'s order.

    Raises:
        ConversionError: a source key that no rule maps, a target that nothing fills or that two
            entries fill, a shape that differs. The message names them all.
    """
    family = type(net).__name__
    try:
        rules = LAYOUTS[layout][family]
    except KeyError:
        known = ", ".join(sorted(name for name, table in LAYOUTS.items() if family in table))
        raise ConversionError(
            f"no rules convert layout '{layout}' to {family}; known layouts for it: {known or 'none'}"
        ) from None
    return apply_rules(state, rules, net)


def apply_rules(
    state: Mapping[str, Tensor], rules: tuple[openmmlab.Rule, ...], net: nn.Module
) -> dict[str, Tensor]:
    """As `convert_state_dict`, with the rules given."""
    compiled = [(re.compile(pattern), target) for pattern, target in rules]
    targets = net.state_dict()
    found: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    unmapped, clashes, shapes = [], [], []
    for key, value in state.items():
        target = _first_match(key, compiled)
        if target is None:
            continue
        if target == "" or target not in targets:
            unmapped.append(key)
        elif target in found:
            clashes.append(f"{key} and {origin[target]} -> {target}")
        elif value.shape != targets[target].shape:
            shapes.append(
                f"{key} is {tuple(value.shape)}, {target} expects {tuple(targets[target].shape)}"
            )
            found[target] = value
        else:
            found[target], origin[target] = value, key
    unfilled = [key for key in targets if key not in found]
    problems = [
        _listed("source keys that nothing maps", unmapped),
        _listed("keys of the network that nothing fills", unfilled),
        _listed("shapes that differ", shapes),
        _listed("keys filled twice", clashes),
    ]
    if any(problems):
        raise ConversionError(
            f"the checkpoint does not fit {type(net).__name__}: "
            + "; ".join(problem for problem in problems if problem)
            + ". Is it the checkpoint of another model or number of keypoints?"
        )
    return {key: found[key] for key in targets}


def _first_match(key: str, rules: list[tuple[re.Pattern[str], str | None]]) -> str | None:
    """The target of `key`, None where it is to be dropped, "" where no rule matches."""
    for pattern, target in rules:
        match = pattern.fullmatch(key)
        if match:
            return None if target is None else match.expand(target)
    return ""


def _listed(what: str, names: list[str], limit: int = 8) -> str:
    if not names:
        return ""
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return f"{len(names)} {what}: {', '.join(names[:limit])}{more}"
