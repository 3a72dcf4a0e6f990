"""RTMO, which finds all people at once: its configuration in posekit's terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posekit.foreign.description import Description, expect, normalisation, short, steps_of, take
from posekit.foreign.python_config import ConfigError
from posekit.foreign.skeletons import find_skeleton

__all__ = ["describe_one_stage"]

Values = dict[str, Any]


def describe_one_stage(config: Mapping[str, Any], path: Path | None) -> Description:
    """The YAML of an RTMO.

    Args:
        config: all values of the configuration.
        path: its file, for the files that it names.

    Raises:
        ConfigError: a setting has no counterpart in posekit; the message names its key.
    """
    model, steps = take(config, "model"), steps_of(config)
    head, test = take(model, "head"), model.get("test_cfg") or {}
    if (kind := short(head.get("type"))) != "RTMOHead":
        raise ConfigError(
            f"head {kind}: expected RTMOHead, since RTMO (rtmo-m) is posekit's only one-stage "
            "model; or use rtmpose-m_body8-256x192 with its detector"
        )
    resize = steps.get("BottomupResize") or {}
    size = resize.get("input_size") or test.get("input_size")
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ConfigError("the size of the input: expected BottomupResize(input_size=(w, h))")
    expect(
        {
            "BottomupResize.resize_mode": ("fit", resize.get("resize_mode", "fit")),
            "BottomupResize.aug_scales": (None, resize.get("aug_scales")),
            "BottomupResize.use_udp": (False, resize.get("use_udp", False)),
            "test_cfg.input_size": (list(size), list(test.get("input_size", (640, 640)))),
            "test_cfg.flip_test": (False, bool(test.get("flip_test", False))),
        }
    )
    pad = resize.get("pad_val", (0, 0, 0))
    pads = sorted(set(pad)) if isinstance(pad, list | tuple) else [pad]
    if len(pads) != 1:
        raise ConfigError(f"BottomupResize.pad_val: expected three equal numbers, found {pad}")
    values: Values = {
        "net": _network(model, head),
        "input_size": [int(side) for side in size],
        "preprocess": {**normalisation(model), "pad_value": int(pads[0])},
        "codec": {"_target_": "posekit.codecs.one_stage.PersonCells", "strides": [16, 32]},
        "score_threshold": float(test.get("score_thr", 0.01)),
        "nms_threshold": float(test.get("nms_thr", 1.0)),
    }
    found = Description("model", values)
    name, found.skeleton = find_skeleton(config, path, int(take(head, "num_keypoints")))
    values["keypoints"] = name
    return found


def _network(model: Mapping[str, Any], head: Mapping[str, Any]) -> Values:
    backbone, neck = take(model, "backbone"), take(model, "neck")
    deepen, widen = (float(backbone.get(k, 1.0)) for k in ("deepen_factor", "widen_factor"))
    _expect_neck(backbone, neck, deepen, widen)
    module, classifier = take(head, "head_module_cfg"), take(head, "dcc_cfg")
    attention, channels = classifier.get("gau_cfg") or {}, int(512 * widen)
    expect(
        {
            "head.head_module_cfg.widen_factor": (widen, float(module.get("widen_factor", 1.0))),
            "head.head_module_cfg.pose_vec_channels": (
                channels,
                module.get("pose_vec_channels", -1),
            ),
            "head.head_module_cfg.cls_feat_channels": (256, module.get("cls_feat_channels", 256)),
            "head.head_module_cfg.channels_per_group": (36, module.get("channels_per_group", 36)),
            "head.head_module_cfg.in_channels": (256, module.get("in_channels", 256)),
            "head.head_module_cfg.num_groups": (8, module.get("num_groups", 8)),
            "head.head_module_cfg.stacked_convs": (2, module.get("stacked_convs", 2)),
            "head.head_module_cfg.num_classes": (1, module.get("num_classes", 1)),
            "head.featmap_strides": ([16, 32], list(head.get("featmap_strides", (16, 32)))),
            "head.bbox_padding": (1.25, head.get("bbox_padding", 1.25)),
            "head.prior_generator.centralize_points": (
                True,
                (head.get("prior_generator") or {}).get("centralize_points", False),
            ),
            "head.dcc_cfg.num_bins": ([192, 256], list(take(classifier, "num_bins"))),
            "head.dcc_cfg.feat_channels": (128, classifier.get("feat_channels", 128)),
            "head.dcc_cfg.spe_channels": (128, classifier.get("spe_channels", 128)),
            "head.dcc_cfg.spe_temperature": (300.0, float(classifier.get("spe_temperature", 300))),
            "head.dcc_cfg.gau_cfg.s": (128, attention.get("s", 128)),
            "head.dcc_cfg.gau_cfg.expansion_factor": (2, attention.get("expansion_factor", 2)),
            "head.dcc_cfg.gau_cfg.pos_enc": ("add", attention.get("pos_enc", "add")),
        }
    )
    return {
        "_target_": "posekit.models.rtmo.RTMO",
        "deepen_factor": deepen,
        "widen_factor": widen,
    }


def _expect_neck(
    backbone: Mapping[str, Any], neck: Mapping[str, Any], deepen: float, widen: float
) -> None:
    """Refuses settings that RTMO's backbone and hybrid encoder do not have."""
    encoder = take(neck, "encoder_cfg")
    attention, mlp = take(encoder, "self_attn_cfg"), take(encoder, "ffn_cfg")
    expect(
        {
            "backbone.type": ("CSPDarknet", short(backbone.get("type"))),
            "backbone.use_depthwise": (False, backbone.get("use_depthwise", False)),
            "backbone.out_indices": ([2, 3, 4], list(backbone.get("out_indices", (2, 3, 4)))),
            "neck.type": ("HybridEncoder", short(neck.get("type"))),
            "neck.deepen_factor": (deepen, float(neck.get("deepen_factor", 1.0))),
            "neck.widen_factor": (widen, float(neck.get("widen_factor", 1.0))),
            "neck.hidden_dim": (256, neck.get("hidden_dim", 256)),
            "neck.num_encoder_layers": (1, neck.get("num_encoder_layers", 1)),
            "neck.use_encoder_idx": ([2], list(neck.get("use_encoder_idx", (2,)))),
            "neck.output_indices": ([1, 2], list(take(neck, "output_indices"))),
            "neck.pe_temperature": (10000, neck.get("pe_temperature", 10000)),
            "neck.spe_learnable": (False, neck.get("spe_learnable", False)),
            "neck.encoder_cfg.self_attn_cfg.num_heads": (8, take(attention, "num_heads")),
            "neck.encoder_cfg.ffn_cfg.feedforward_channels": (
                1024,
                take(mlp, "feedforward_channels"),
            ),
            "neck.projector.out_channels": (int(512 * widen), take(neck, "projector.out_channels")),
        }
    )
