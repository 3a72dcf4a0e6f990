"""The keypoints that a model and a data set both have."""

from __future__ import annotations

import dataclasses

from posekit.errors import InputError
from posekit.names import match_names
from posekit.skeleton import Skeleton

__all__ = ["common_skeleton"]


def common_skeleton(model: Skeleton, labelled: Skeleton) -> Skeleton:
    """The keypoints that are evaluated: all those of one skeleton, which the other has too.

    They are matched by name, in any spelling: "Left Eye" is `left_eye`.

    Raises:
        InputError: neither skeleton has all keypoints of the other.
    """
    found = match_names(labelled.names, model.names).indices
    if min(found) >= 0:
        smaller, larger = labelled, model
        if len(labelled.names) == len(model.names) and not labelled.sigmas:
            smaller, larger = model, labelled  # the same keypoints, better known
    elif min(match_names(model.names, labelled.names).indices) >= 0:
        smaller, larger = model, labelled
    else:
        only = [name for name, index in zip(labelled.names, found, strict=True) if index < 0]
        raise InputError(
            f"the model finds the {model.num_keypoints} keypoints of '{model.name}', the data set "
            f"has the {labelled.num_keypoints} of '{labelled.name}', and neither has all of the "
            f"other's: the model does not find {', '.join(only[:4])}. Choose a model for this data "
            "set; if only the names differ, name the data set's keypoints, in its order: "
            f"'dataset.val={{annotations: FILE, skeleton: {model.name}}}', or with a mapping: "
            f"dataset.skeleton={model.name} 'dataset.val={{annotations: FILE, mapping: "
            f"{{{model.names[0]}: {labelled.names[0]}, ...}}}}'"
        )
    if smaller.sigmas or not larger.sigmas:
        return smaller
    indices = match_names(smaller.names, larger.names).indices
    return dataclasses.replace(smaller, sigmas=tuple(larger.sigmas[i] for i in indices))
