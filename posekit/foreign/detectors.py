"""Detectors of MMDetection: their configuration in posekit's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from posekit.config import read_config
from posekit.foreign.description import Description, expect, normalisation, short, steps_of, take
from posekit.foreign.python_config import ConfigError

__all__ = ["DETECTOR_HEADS", "describe_detector"]

Values = dict[str, Any]
COCO_CLASSES = 80
MAX_DETECTIONS = 1000  # where a configuration has no limit
# Channels of SSDLite's levels: of MobileNetV2's two outputs, then of the levels behind it.
SSD_CHANNELS = [96, 1280, 512, 256, 256, 128]


def describe_detector(config: Mapping[str, Any]) -> Description:
    """The YAML of an RTMDet, a YOLOX or an SSDLite.

    Raises:
        ConfigError: a setting has no counterpart in posekit; the message names its key.
    """
    model = take(config, "model")
    head, test, steps = take(model, "bbox_head"), model.get("test_cfg") or {}, steps_of(config)
    size = (steps.get("Resize") or {}).get("scale") or config.get("img_scale")
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ConfigError("the size of the input: expected Resize(scale=(w, h)) in test_pipeline")
    padding = (steps.get("Pad") or {}).get("pad_val", {})
    pad = (padding.get("img", [0]) if isinstance(padding, Mapping) else [padding])[0]
    described = DETECTOR_HEADS[short(head.get("type"))](model, head)
    codec = described.pop("codec", None)
    values: Values = {
        "net": described,
        "input_size": [int(side) for side in size],
        "preprocess": {
            **normalisation(model),
            "pad_value": int(pad),
            "keep_ratio": (steps.get("Resize") or {}).get("keep_ratio", True),
        },
        "nms_threshold": take(test, "nms.iou_threshold"),
        "max_detections": test.get("max_per_img", MAX_DETECTIONS),
    }
    if codec is not None:
        values["codec"] = codec
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
    if names := info.get("classes", info.get("CLASSES", config.get("classes"))):
        return _as_many([names] if isinstance(names, str) else list(names), count)
    if count == COCO_CLASSES:
        return list(read_config("rtmdet-m_coco-640")["classes"])
    notes.append("metainfo.classes: there are none, so the classes are named class_0, class_1, ...")
    return [f"class_{i}" for i in range(count)]


def _as_many(names: list[Any], count: int) -> list[str]:
    if len(names) != count:
        raise ConfigError(
            f"metainfo.classes: expected {count} names (num_classes), found {len(names)}"
        )
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


def _ssdlite(model: Mapping[str, Any], head: Mapping[str, Any]) -> Values:
    backbone, neck = take(model, "backbone"), take(model, "neck")
    anchors, coder = take(head, "anchor_generator"), take(head, "bbox_coder")
    ratios = [list(ratio) for ratio in take(anchors, "ratios")]
    eps = (neck.get("norm_cfg") or {}).get("eps", 1e-5)
    expect(
        {
            "backbone.type": ("MobileNetV2", short(backbone.get("type"))),
            "backbone.out_indices": ([4, 7], backbone.get("out_indices", (1, 2, 4, 7))),
            "backbone.widen_factor": (1.0, float(backbone.get("widen_factor", 1.0))),
            "neck.out_channels": (SSD_CHANNELS, take(neck, "out_channels")),
            "neck.level_strides": ([2] * 4, take(neck, "level_strides")),
            "neck.level_paddings": ([1] * 4, take(neck, "level_paddings")),
            "neck.use_depthwise": (True, neck.get("use_depthwise", False)),
            "neck.l2_norm_scale": (None, neck.get("l2_norm_scale", 20.0)),
            "neck.norm_cfg.eps": (1e-3, eps),
            "bbox_head.use_depthwise": (True, head.get("use_depthwise", False)),
            "anchor_generator.ratios": ([ratios[0]] * len(SSD_CHANNELS), ratios),
            "anchor_generator.scale_major": (False, anchors.get("scale_major", True)),
            "bbox_coder.target_means": ([0.0] * 4, list(coder.get("target_means", [0.0] * 4))),
        }
    )
    for key in ("min_sizes", "max_sizes"):  # otherwise they follow from a range of scales
        take(anchors, key)
    return {
        "_target_": "posekit.models.ssdlite.SSDLite",
        "anchors_per_cell": 2 + 2 * len(ratios[0]),
        "codec": {
            "_target_": "posekit.codecs.anchors.SSDBoxes",
            **{key: list(take(anchors, key)) for key in ("strides", "min_sizes", "max_sizes")},
            "ratios": ratios[0],
            "stds": list(coder.get("target_stds", [1.0] * 4)),
        },
    }


DETECTOR_HEADS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Values]] = {
    "RTMDetSepBNHead": _rtmdet,
    "YOLOXHead": _yolox,
    "SSDHead": _ssdlite,
}
