"""Foreign checkpoint -> posekit weights, by a table of rules, with nothing left over."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from posekit.build import build_network
from posekit.config import resolve_name
from posekit.errors import OutputError
from posekit.files import replacing
from posekit.models.family import Rule
from posekit.spec import load_spec
from weights_convert import motionbert, openmmlab, transformers, vitpose, yolox
from weights_convert.companions import file_in_folder
from weights_convert.dataset_meta import DatasetMeta
from weights_convert.errors import ConversionError
from weights_convert.experts import note_on_expert
from weights_convert.onnx import read_onnx
from weights_convert.onnx_file import is_onnx
from weights_convert.reader import Checkpoint, read_checkpoint
from weights_convert.version import CONVERTER_VERSION
from weights_convert.wrappers import View, views

__all__ = ["LAYOUTS", "convert_file", "convert_state_dict"]

log = logging.getLogger(__name__)

# layout -> network class -> rules; a network has those of OpenMMLab's layout beside it.
LAYOUTS: dict[str, Mapping[str, tuple[Rule, ...]]] = {
    "openmmlab": {},
    "transformers": transformers.RULES,
    "vitpose": vitpose.RULES,
    "motionbert": motionbert.RULES,
    "yolox": yolox.RULES,
}
# Of the network's own names.
OWN: tuple[Rule, ...] = ((r"(.*)", r"\1"),)
# What renaming cannot do, done before it.
PREPARE: dict[str, Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]]] = {
    "transformers": transformers.prepare,
    "vitpose": vitpose.prepare,
    "yolox": yolox.prepare,
}


def convert_file(source: Path, model: str, output: Path, *, net: nn.Module | None = None) -> None:
    """Writes a checkpoint as posekit safetensors.

    If the file holds several versions of the weights, the moving average is used, with a warning.

    Args:
        source: a `.pth`, `.pt`, `.bin` or `.safetensors` file with the network's own state dict or
            in any known layout, an index of shards, or an ONNX export; its content decides which.
            Or a folder that holds one, see `weights_convert.companions.file_in_folder`.
        model: the name of the model that the weights are for; without `net`, any of its names.
        output: the file to write. It appears whole or not at all.
        net: the model's network, of which only keys and shapes are read, so it may be on `meta`;
            None takes that of the packaged configuration.

    Raises:
        UnknownModelError: no such model.
        ConversionError: the source cannot be read or does not fit the model, the output cannot be
            written or is the source.
    """
    if net is None:
        model = resolve_name(model)
        net = build_network(load_spec(model).net)
    if source.is_dir():
        source = file_in_folder(source)
    digest = _sha256(source)
    if output.exists() and output.samefile(source):
        raise ConversionError(f"the output {output} is the source: name another file")
    state, dataset_meta = _read(source, net)
    metadata = {
        "format": "pt",
        "model": model,
        "source": source.name,
        "source_sha256": digest,
        "converter": CONVERTER_VERSION,
        **({} if dataset_meta is None else dataset_meta.to_metadata()),
    }
    _save(state, output, metadata)


def _read(source: Path, net: nn.Module) -> tuple[dict[str, Tensor], DatasetMeta | None]:
    if is_onnx(source):
        return read_onnx(source, net), None
    found = read_checkpoint(source)
    try:
        return _fit(source, found, net), found.dataset_meta
    except ConversionError as error:
        raise ConversionError(f"{source}: {error}") from None


def _fit(source: Path, found: Checkpoint, net: nn.Module) -> dict[str, Tensor]:
    """The network's entries, wherever they are in a file and whatever wraps them."""
    closest: _Match | None = None
    for place, entries in found.states.items():
        for view in views(entries):
            for match in _matches(view.entries, net):
                if not match.problems:
                    _tell_choice(source, place, list(found.states), view)
                    if note := note_on_expert(view.entries, net):
                        log.warning("%s %s", source, note)
                    return match.state(net)
                if closest is None or match.misses < closest.misses:
                    closest = match
    assert closest is not None
    raise closest.error(net)


def _matches(entries: Mapping[str, Tensor], net: nn.Module) -> Iterator[_Match]:
    """The entries in each layout that they may have; the network's own comes first."""
    yield _matched(entries, OWN, net)
    for layout in _layouts_of(net):
        prepared = PREPARE[layout](entries, net) if layout in PREPARE else entries
        yield _matched(prepared, _rules(layout, net), net)


def _tell_choice(source: Path, place: str, places: list[str], view: View) -> None:
    """Warns about what was taken if there was a choice, and what was left out."""
    others = [other for other in places if other != place]
    if others:
        average = ", the moving average as mmengine saves it," if place == "state_dict" else ""
        log.warning(
            "%s has several versions of the weights: '%s'%s is taken, not %s",
            *(source, place, average, " and ".join(f"'{other}'" for other in others)),
        )
    if view.copies:
        taken = f"'{view.prefix}*'" if view.prefix else "without a prefix"
        log.warning(
            "%s has several versions of the weights: the entries %s are taken, not %s",
            *(source, taken, " and ".join(f"'{other}*'" for other in view.copies)),
        )
    if view.dropped:
        log.warning("%s: left out %s", source, _listed("entries of no network", list(view.dropped)))


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
        ConversionError: a source key without a rule, a target that no entry or more than one fills,
            or a shape that differs. The message names them.
    """
    rules = _rules(layout, net)
    if not rules:
        known = ", ".join(_layouts_of(net))
        raise ConversionError(
            f"no rules convert layout '{layout}' to {type(net).__name__}; "
            f"known ones: {known or 'none'}"
        )
    if layout in PREPARE:
        state = PREPARE[layout](state, net)
    return apply_rules(state, rules, net)


def apply_rules(
    state: Mapping[str, Tensor], rules: tuple[Rule, ...], net: nn.Module
) -> dict[str, Tensor]:
    """As `convert_state_dict`, with the given rules."""
    match = _matched(state, rules, net)
    if match.problems:
        raise match.error(net)
    return match.state(net)


@dataclass(frozen=True)
class _Match:
    """The entries of a file that a network gets.

    Attributes:
        found: the entries, by the network's names.
        problems: what does not fit, in words.
        misses: how many entries that is.
    """

    found: Mapping[str, Tensor]
    problems: tuple[str, ...]
    misses: int

    def state(self, net: nn.Module) -> dict[str, Tensor]:
        return {key: self.found[key] for key in net.state_dict()}

    def error(self, net: nn.Module) -> ConversionError:
        return ConversionError(
            f"the checkpoint does not fit {type(net).__name__}: {'; '.join(self.problems)}"
            ". Is it for another model, or for another number of keypoints?"
        )


def _matched(state: Mapping[str, Tensor], rules: tuple[Rule, ...], net: nn.Module) -> _Match:
    targets = net.state_dict()
    found: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    unmapped, clashes, misfits = [], [], []
    for key, value in state.items():
        matched, target = _first_match(key, rules)
        if matched and target is None:
            continue
        if target is None or target not in targets:
            unmapped.append(key)
            continue
        if target in found:
            clashes.append(f"{origin[target]} and {key} -> {target}")
            continue
        if key.endswith("num_batches_tracked"):  # a count that halving all of a file changes too
            value = value.to(targets[target].dtype)
        found[target], origin[target] = value, key
        if problem := _misfit(key, value, target, targets[target]):
            misfits.append(problem)
    for key in targets:
        if key not in found and key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(0)  # which PyTorch has had since version 0.4.1
    missing = [key for key in targets if key not in found]
    problems = [
        _listed("source keys that nothing maps", unmapped),
        _listed("keys of the network that nothing fills", missing),
        _listed("shapes or types that differ", misfits),
        _listed("keys filled twice", clashes),
    ]
    misses = sum(map(len, (unmapped, missing, misfits, clashes)))
    return _Match(found, tuple(filter(None, problems)), misses)


def _misfit(key: str, value: Tensor, target: str, expected: Tensor) -> str:
    if value.shape != expected.shape:
        return f"{key} is {tuple(value.shape)}, {target} expects {tuple(expected.shape)}"
    if (value.is_floating_point(), value.is_complex()) != (
        *(expected.is_floating_point(), expected.is_complex()),
    ):
        return f"{key} is {value.dtype}, {target} expects {expected.dtype}"
    return ""


def _first_match(key: str, rules: tuple[Rule, ...]) -> tuple[bool, str | None]:
    """Whether a rule matches, and the target of `key`: None where it is to be dropped."""
    for pattern, target in rules:
        if match := re.fullmatch(pattern, key):
            return True, None if target is None else match.expand(target)
    return False, None


def _layouts_of(net: nn.Module) -> list[str]:
    return [layout for layout in LAYOUTS if _rules(layout, net)]


def _rules(layout: str, net: nn.Module) -> tuple[Rule, ...]:
    """The rules of a layout; empty if there are none."""
    if layout == "openmmlab":
        return openmmlab.rules_of(type(net))
    return LAYOUTS.get(layout, {}).get(type(net).__name__, ())


def _listed(what: str, names: list[str], limit: int = 8) -> str:
    if not names:
        return ""
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return f"{len(names)} {what}: {', '.join(names[:limit])}{more}"


def _save(state: Mapping[str, Tensor], output: Path, metadata: dict[str, str]) -> None:
    try:
        with replacing(output) as temporary:
            temporary.touch(exist_ok=False)
            mode = temporary.stat().st_mode
            save_file(_unshared(state), temporary, metadata=metadata)
            temporary.chmod(mode)  # some versions of safetensors shut out all but the owner
    except (OSError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise OutputError(f"cannot write {output}: {reason}") from None


def _unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors takes them; only those that share memory are copied."""
    taken: set[int] = set()
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        memory = value.untyped_storage().data_ptr()
        result[key] = value.clone() if memory in taken else value
        result[key] = result[key].contiguous()
        taken.add(memory)
    return result


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    return digest.hexdigest()
