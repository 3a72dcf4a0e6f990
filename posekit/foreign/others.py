"""Detectors of MMDetection and lifters of MMPose: their configuration in posekit's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from posekit.config import read_config
from posekit.foreign.description import Description, expect, normalisation, short, steps_of, take
from posekit.foreign.python_config import ConfigError, UnknownKindError

__all__ = ["DETECTOR_HEADS", "describe_detector", "describe_lifter"]

Values = dict[str, Any]
COCO_CLASSES = 80
MAX_DETECTIONS = 1000  # where a configuration has no limit


def describe_detector(config: Mapping[str, Any]) -> Description:
    """The YAML of an RTMDet, a YOLOX or an SSDLite.

    Raises:
        ConfigError: something that has no counterpart here; it names the key.
    """
    model = take(config, "model")
    head, test, steps = take(model, "bbox_head"), model.get("test_cfg") or {}, steps_of(config)
    size = (steps.get("Resize") or {}).get("scale") or config.get("img_scale")
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ConfigError("the size of the input: expected Resize(scale=(w, h)) in test_pipeline")
    padding = (steps.get("Pad") or {}).get("pad_val", {})
    pad = (padding.get("img", [0]) if isinstance(padding, Mapping) else [padding])[0]
    values: Values = {
        "net": DETECTOR_HEADS[short(head.get("type"))](model, head),
        "input_size": [int(side) for side in size],
        "preprocess": {
            **normalisation(model),
            "pad_value": int(pad),
            "keep_ratio": (steps.get("Resize") or {}).get("keep_ratio", True),
        },
        "nms_threshold": take(test, "nms.iou_threshold"),
        "max_detections": test.get("max_per_img", MAX_DETECTIONS),
    }
    found = Description("detector", values)
    values["classes"] = _classes(config, int(take(head, "num_classes")), found.notes)
    return found


def _classes(config: Mapping[str, Any], count: int, notes: list[str]) -> list[str]:
    for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset") or {}
        inner = dataset.get("dataset")
        for owner in (dataset, inner if isinstance(inner, Mapping) else {}):
            info = owner.get("metainfo") or {}
            names = info.get("classes", info.get("CLASSES"))
            if names:
                return _as_many([names] if isinstance(names, str) else list(names), count)
    info = config.get("metainfo") or {}
    if names := info.get("classes", info.get("CLASSES")):
        return _as_many([names] if isinstance(names, str) else list(names), count)
    if count == COCO_CLASSES:
        return list(read_config("rtmdet-m_coco-640")["classes"])
    notes.append("metainfo.classes: there are none, so that the classes have numbers for names")
    return [f"class_{i}" for i in range(count)]


def _as_many(names: list[Any], count: int) -> list[str]:
    if len(names) != count:
        raise ConfigError(f"metainfo.classes has {len(names)} names and num_classes is {count}")
    return [str(name).replace(" ", "_") for name in names]


def _rtmdet(model: Mapping[str, Any], head: Mapping[str, Any]) -> Values:
    backbone, neck = take(model, "backbone"), take(model, "neck")
    expect(
        {
            "backbone.type": ("CSPNeXt", short(backbone.get("type"))),
            "bbox_head.feat_channels": (neck.get("out_channels"), head.get("feat_channels", 256)),
            "bbox_head.with_objectness": (False, head.get("with_objectness", False)),
            "bbox_head.anchor_generator.strides": (
                [8, 16, 32],
                take(head, "anchor_generator.strides"),
            ),
        }
    )
    return {
        "_target_": "posekit.models.rtmdet.RTMDet",
        "deepen_factor": float(backbone.get("deepen_factor", 1.0)),
        "widen_factor": float(backbone.get("widen_factor", 1.0)),
        "neck_channels": take(neck, "out_channels"),
        "neck_blocks": neck.get("num_csp_blocks", 3),
        "depthwise": head.get("use_depthwise", False),
        "share_conv": head.get("share_conv", True),
        "exp_on_reg": head.get("exp_on_reg", False),
    }


def _yolox(model: Mapping[str, Any], head: Mapping[str, Any]) -> Values:
    backbone, neck = take(model, "backbone"), take(model, "neck")
    deepen, widen = float(take(backbone, "deepen_factor")), float(take(backbone, "widen_factor"))
    blocks, channels = max(round(3 * deepen), 1), int(256 * widen)
    expect(
        {
            "neck.num_csp_blocks": (blocks, take(neck, "num_csp_blocks")),
            "neck.out_channels": (channels, take(neck, "out_channels")),
            "bbox_head.feat_channels": (channels, head.get("feat_channels", 256)),
            "bbox_head.strides": ([8, 16, 32], head.get("strides", [8, 16, 32])),
        }
    )
    return {
        "_target_": "posekit.models.yolox.YOLOX",
        "deepen_factor": deepen,
        "widen_factor": widen,
        "depthwise": head.get("use_depthwise", False),
    }


DETECTOR_HEADS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Values]] = {
    "RTMDetSepBNHead": _rtmdet,
    "YOLOXHead": _yolox,
}


def describe_lifter(config: Mapping[str, Any]) -> Description:
    """The YAML of a MotionBERT.

    Raises:
        ConfigError: something that has no counterpart here; it names the key.
    """
    backbone, head = take(config, "model.backbone"), take(config, "model.head")
    if (kind := short(backbone.get("type"))) != "DSTFormer":
        raise UnknownKindError(
            f"backbone {kind}: the only lifter that is read here is MotionBERT's DSTFormer"
        )
    expect(
        {
            "head.type": ("MotionRegressionHead", short(head.get("type"))),
            "backbone.in_channels": (3, backbone.get("in_channels", 3)),
            "head.decoder.num_keypoints": (17, take(head, "decoder.num_keypoints")),
        }
    )
    published = read_config("motionbert-ft_h36m")
    values = {
        **published,
        "net": {
            "_target_": "posekit.models.motionbert.MotionBERT",
            "channels": backbone.get("feat_size", 256),
            "depth": backbone.get("depth", 5),
            "num_heads": backbone.get("num_heads", 8),
            "mlp_ratio": float(backbone.get("mlp_ratio", 4)),
            "adaptive_fusion": backbone.get("att_fuse", True),
            "max_frames": backbone.get("seq_len", 243),
            "representation_channels": head.get("embedding_size", 512),
        },
        "codec": {
            "_target_": "posekit.codecs.lifting.MotionBERTLift",
            "root_relative": bool(take(head, "decoder").get("rootrel", False)),
        },
        "flip_test": bool((take(config, "model").get("test_cfg") or {}).get("flip_test", True)),
    }
    return Description("lifter", values)
