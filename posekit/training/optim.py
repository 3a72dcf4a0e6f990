"""What is trained, and how fast: freezing, timm's optimisers and schedules, layer-wise decay."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn

from posekit.config import nearest
from posekit.errors import InputError
from posekit.training.options import TrainOptions

__all__ = ["freeze", "frozen_modules", "make_optimizer", "make_scheduler", "restore_optimizer"]


def freeze(net: nn.Module, prefixes: Sequence[str]) -> None:
    """Freezes the parameters below these names.

    Args:
        net: the network.
        prefixes: names of modules or parameters, such as `backbone.stem`.

    Raises:
        InputError: nothing has that name (the message suggests others), or nothing is left to
            train.
    """
    for prefix in prefixes:
        chosen = [p for name, p in net.named_parameters() if _is_below(name, prefix)]
        if not chosen:
            raise InputError(f"freeze: {_no_such(net, prefix)}")
        for parameter in chosen:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise InputError("freeze: nothing is left to train; name fewer prefixes")


def frozen_modules(net: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """The frozen modules: in eval mode their batch norms keep their statistics."""
    return [
        module
        for name, module in net.named_modules()
        if name and any(_is_below(name, prefix) for prefix in prefixes)
    ]


def make_optimizer(
    net: nn.Module, options: TrainOptions, samples_per_step: int
) -> torch.optim.Optimizer:
    """timm's optimiser, as the options of a run name it.

    Raises:
        InputError: an optimiser that timm does not have, or layers that cannot be told apart.
    """
    lr = float(options.lr)
    if options.lr_batch_size is not None:
        ratio = samples_per_step / options.lr_batch_size
        # Adam and its kin divide by the gradient's size (arXiv 2205.10287).
        lr *= ratio if "sgd" in options.optimizer else math.sqrt(ratio)
    arguments: dict[str, Any] = {}
    if options.betas is not None:
        arguments["betas"] = tuple(options.betas)
    weight_decay = float(options.weight_decay)
    try:
        return create_optimizer_v2(
            parameter_groups(net, weight_decay, options.layer_decay, options.lr_factors),
            opt=options.optimizer,
            lr=lr,
            weight_decay=weight_decay,
            **arguments,
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"optimizer={options.optimizer}: {error}") from None


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Loads an optimiser's state, which must fit; weight decay and betas stay as they are now.

    Raises:
        ValueError, KeyError, TypeError ...: it does not fit.
    """
    asked = [dict(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(state))
    for group, values in zip(optimizer.param_groups, asked, strict=True):
        for key, value in values.items():
            if isinstance(value, int | float) != isinstance(group[key], int | float):
                raise ValueError(f"its '{key}' is {group[key]!r:.40}, expected {value!r:.40}")
        for key in {"weight_decay", "betas"} & values.keys():
            group[key] = values[key]
    for parameter, moments in optimizer.state.items():
        for name in {"exp_avg", "exp_avg_sq", "momentum_buffer"} & moments.keys():
            if moments[name] is not None and moments[name].shape != parameter.shape:
                raise ValueError(f"its '{name}' has other shapes than the parameters")


def parameter_groups(
    net: nn.Module,
    weight_decay: float,
    layer_decay: float | None,
    lr_factors: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Parameters that share a weight decay and a factor on the learning rate, `lr_scale`.

    Biases, norms and positions have no weight decay. With `layer_decay` each block of a transformer
    learns slower than the next by this factor (BEiT, arXiv 2106.08254), and the embedding slowest;
    the head learns at full rate. `lr_factors` are more factors, by prefixes of names; the longest
    that matches counts.

    Raises:
        InputError: a prefix that no name has, or layers that cannot be told apart.
    """
    factors = dict(sorted((lr_factors or {}).items(), key=lambda item: len(item[0])))
    for prefix in factors:
        if not any(_is_below(name, prefix) for name, _ in net.named_parameters()):
            raise InputError(f"lr_factors: {_no_such(net, prefix)}")
    blocks = 0
    if layer_decay is not None:
        found = [_block(name) for name, _ in net.named_parameters()]
        blocks = max((number for number in found if number is not None), default=-1) + 1
        if not blocks:
            raise InputError(
                f"layer_decay is for transformers: {type(net).__name__} has no backbone.blocks"
            )
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        exempt = parameter.ndim <= 1 or name.endswith((".bias", "pos_embed", "_position"))
        scale = 1.0
        if layer_decay is not None:
            scale = layer_decay ** (blocks + 1 - _layer(name, blocks))
        scale *= next((f for p, f in reversed(factors.items()) if _is_below(name, p)), 1.0)
        key = (0.0 if exempt else weight_decay, scale)
        group = groups.setdefault(key, {"params": [], "weight_decay": key[0], "lr_scale": key[1]})
        group["params"].append(parameter)
    return list(groups.values())


def make_scheduler(
    optimizer: torch.optim.Optimizer, options: TrainOptions, steps: int
) -> Scheduler:
    """timm's schedule over `steps` optimiser steps; call `step_update(step)` after each.

    Its value is a function of the step, so it has no state to save.

    Raises:
        InputError: a schedule that timm does not have, or phases that do not fit.
    """
    lr = max(group["lr"] for group in optimizer.param_groups)
    warmup = min(options.warmup_steps, steps // 10)
    # In whole steps and at least one: timm refuses a part of a run that is shorter.
    decay = max(round(options.decay * (steps - warmup)), 1)
    try:
        scheduler, _ = create_scheduler_v2(
            optimizer,
            sched=options.schedule,
            num_epochs=steps,
            decay_epochs=decay,
            decay_milestones=[round(part * steps) for part in options.milestones],
            decay_rate=0.1,
            decay_fn="cosine",
            min_lr=lr * options.min_lr,
            warmup_lr=lr * 1e-3,
            warmup_epochs=warmup,
            # A step is what timm calls an epoch here.
            step_on_epochs=False,
            updates_per_epoch=1,
        )
    except (ValueError, AssertionError) as error:
        raise InputError(f"schedule={options.schedule}: {error}") from None
    if scheduler is None:
        raise InputError("schedule=none: use constant, which has a warm-up too")
    return scheduler


def _no_such(net: nn.Module, prefix: str) -> str:
    names = [name for name, _ in net.named_modules() if name]
    depth = prefix.count(".") + 1
    shallow = [name for name in names if name.count(".") <= depth]
    close = nearest(prefix, shallow) or shallow[:8]
    return f"the network has no '{prefix}'; did you mean {' or '.join(close)}?"


def _is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _block(name: str) -> int | None:
    match = re.match(r"backbone\.blocks\.(\d+)\.", name)
    return int(match[1]) if match else None


def _layer(name: str, blocks: int) -> int:
    """0 for the embedding, 1 to `blocks` for the blocks, one more for all after them."""
    if name.startswith(("backbone.patch_embed", "backbone.pos_embed")):
        return 0
    number = _block(name)
    return blocks + 1 if number is None else number + 1
