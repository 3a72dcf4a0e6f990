"""YOLOX's own checkpoints (github.com/Megvii-BaseDetection/YOLOX): how their keys map to posekit's.

The files hold the network under `model`. For what a rule is, see `weights_convert.openmmlab`;
`prepare` goes first.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from posekit.models.family import Rule

__all__ = ["RULES", "prepare"]


def _csp(source: str, target: str) -> tuple[Rule, ...]:
    """Rules of a cross-stage layer."""
    return (
        (rf"{source}\.conv1\.(.*)", rf"{target}.main_conv.\1"),
        (rf"{source}\.conv2\.(.*)", rf"{target}.short_conv.\1"),
        (rf"{source}\.conv3\.(.*)", rf"{target}.final_conv.\1"),
        (rf"{source}\.m\.(\d+)\.(.*)", rf"{target}.blocks.\1.\2"),
    )


def _stage(index: int) -> tuple[Rule, ...]:
    """Rules of a stage of the backbone; the source counts them from two."""
    source, target = rf"backbone\.backbone\.dark{index + 2}", f"backbone.stages.{index}"
    first = (rf"{source}\.0\.(.*)", rf"{target}.0.\1")
    if index < 3:
        return (first, *_csp(rf"{source}\.1", f"{target}.1"))
    return (
        first,
        (rf"{source}\.1\.(.*)", rf"{target}.1.\1"),
        *_csp(rf"{source}\.2", f"{target}.2"),
    )


_YOLOX: tuple[Rule, ...] = (
    (r"backbone\.backbone\.stem\.(.*)", r"backbone.stem.\1"),
    *_stage(0),
    *_stage(1),
    *_stage(2),
    *_stage(3),
    (r"backbone\.lateral_conv0\.(.*)", r"neck.reduce_layers.0.\1"),
    (r"backbone\.reduce_conv1\.(.*)", r"neck.reduce_layers.1.\1"),
    *_csp(r"backbone\.C3_p4", "neck.top_down_blocks.0"),
    *_csp(r"backbone\.C3_p3", "neck.top_down_blocks.1"),
    (r"backbone\.bu_conv2\.(.*)", r"neck.downsamples.0.\1"),
    (r"backbone\.bu_conv1\.(.*)", r"neck.downsamples.1.\1"),
    *_csp(r"backbone\.C3_n3", "neck.bottom_up_blocks.0"),
    *_csp(r"backbone\.C3_n4", "neck.bottom_up_blocks.1"),
    (r"head\.stems\.(\d)\.(.*)", r"neck.out_convs.\1.\2"),
    (r"head\.(cls|reg)_convs\.(\d)\.(.*)", r"heads.\2.\1_tower.\3"),
    (r"head\.(cls|reg|obj)_preds\.(\d)\.(.*)", r"heads.\2.\1_pred.\3"),
)

RULES: dict[str, tuple[Rule, ...]] = {"YOLOX": _YOLOX}


def prepare(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Gives the two parts of a depthwise-separable convolution posekit's names."""
    return {
        key.replace(".dconv.", ".depthwise_conv.").replace(".pconv.", ".pointwise_conv."): value
        for key, value in state.items()
    }
