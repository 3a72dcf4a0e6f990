"""What training starts from: which weights of the last layer belong to which keypoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from posekit.build import build_network
from posekit.compose import read_part
from posekit.names import match_names
from posekit.training.tasks import Task
from posekit.weights.hub import resolve_weights
from posekit.weights.load import load_initial_weights
from posekit.weights.provenance import stored_meta

__all__ = ["initial_network", "origin_line"]

log = logging.getLogger(__name__)


def initial_network(task: Task, config: Mapping[str, Any], *, say: bool) -> nn.Module:
    """The network of a task, with the weights that the configuration starts from.

    A file's keypoints are those that it names, or else the model's. If the user's own file names
    none, and the model has as many keypoints as the labels but no name in common, they are the
    labels'.

    Args:
        task: what is trained.
        config: configuration of `train`; its `weights` are "published", a file or a URL, None for
            random.
        say: warn about what was guessed, and say which parts of the last layer come from the
            weights.

    Raises:
        InputError: the network cannot be built.
        WeightsError: weights that cannot be loaded, or do not fit.
    """
    described = task.spec.net.having(**config["train_net"])
    net = build_network(described, device="cpu")
    if config["weights"] is None:
        return net
    name, weights = config["names"]["model"], config["weights"]
    # As it is configured: the task's network is for the keypoints of its labels.
    configured = read_part(config, "model")
    assert configured is not None
    path = resolve_weights(name, weights, net=configured.net)
    names = () if task.skeleton is None else task.skeleton.names
    known = task.known_names
    meta = stored_meta(path)
    if meta is not None and meta.keypoints:
        known = meta.keypoints
    elif weights != "published" and _are_others(names, known):
        if say:
            log.warning(
                "%s does not say which keypoints it is for, and has as many as the labels: taken "
                "to be in the labels' order (%s, ...)",
                *(weights, ", ".join(names[:3])),
            )
        known = names
    fresh, kept = load_initial_weights(net, described, path, names=names, names_in_file=known)
    if say and (fresh or (known and list(names) != list(known))):
        log.warning("%s", origin_line(fresh, kept, names, known))
    return net


def _are_others(names: Sequence[str], known: Sequence[str]) -> bool:
    """Whether these are as many keypoints as the known ones, with no name in common."""
    return len(names) == len(known) > 0 and max(match_names(names, known).indices) < 0


def origin_line(
    fresh: Sequence[str], kept: Sequence[str], names: Sequence[str], known: Sequence[str]
) -> str:
    """Which keypoints keep their weights in the layers that depend on them, in one line."""
    if not fresh:
        return f"weights: {len(names)} of {len(names)} keypoints keep what the model knows"
    origin = "each starts as the mean of those that the weights know"
    if kept:
        rest = [name for name in names if name not in kept]
        origin = f"unchanged for {', '.join(kept)}"
        origin += f"; the mean of all for {', '.join(rest)}" if rest else ""
    if names:
        origin += f" ({len(kept)} of {len(names)} keypoints keep what the model knows)"
        if unclear := match_names(names, known).unclear:
            origin += f"; ambiguous, so taken as unknown: {', '.join(unclear)}"
    return f"{', '.join(fresh)}: {origin}"
