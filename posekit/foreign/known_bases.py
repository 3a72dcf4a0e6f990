"""`_base_ = 'mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py'`: what such a file of MMDetection says.

MMDetection is not needed for it: the YAMLs of posekit's detectors have all that a configuration
based on such a file needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from posekit.config import read_config, resolve_name
from posekit.errors import UnknownModelError

__all__ = ["known_base"]

PACKAGE = "mmdet"
Values = dict[str, Any]


def known_base(location: str) -> Values | None:
    """The values of a file `mmdet::<folder>/<name>.py` of a detector that posekit has.

    Values for training are left out. None for any other file.
    """
    package, _, path = location.rpartition("::")
    name = PurePosixPath(path).stem
    if package != PACKAGE or not name.endswith("_coco"):
        return None
    try:
        public = resolve_name(name)
    except UnknownModelError:
        return None
    config = read_config(public)
    heads = {"posekit.models.rtmdet.RTMDet": _rtmdet, "posekit.models.yolox.YOLOX": _yolox}
    made = heads.get(config["net"]["_target_"])
    if made is None:
        return None
    from posekit.spec import DetectorSpec, read_spec  # and with it PyTorch

    spec = read_spec(config, public)
    assert isinstance(spec, DetectorSpec)
    size = tuple(spec.input_size)
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": size, "keep_ratio": spec.keep_ratio},
        {"type": "Pad", "size": size, "pad_val": {"img": (spec.pad_value,) * 3}},
        {"type": "PackDetInputs"},
    ]
    model = {
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": list(spec.mean),
            "std": list(spec.std),
            "bgr_to_rgb": spec.color == "rgb",
        },
        **made(spec.net.arguments, len(spec.classes)),
        "test_cfg": {
            "nms": {"type": "nms", "iou_threshold": spec.nms_threshold},
            "max_per_img": spec.max_detections,
        },
    }
    loader = {"dataset": {"type": "CocoDataset", "pipeline": pipeline}}
    return {
        "model": model,
        "backend_args": None,
        "img_scale": size,
        "img_scales": [size],
        "test_pipeline": pipeline,
        "val_dataloader": loader,
        "test_dataloader": loader,
    }


def _rtmdet(net: Mapping[str, Any], classes: int) -> Values:
    channels = net["neck_channels"]
    return {
        "type": "RTMDet",
        "backbone": {
            "type": "CSPNeXt",
            "deepen_factor": net["deepen_factor"],
            "widen_factor": net["widen_factor"],
        },
        "neck": {
            "type": "CSPNeXtPAFPN",
            "out_channels": channels,
            "num_csp_blocks": net["neck_blocks"],
        },
        "bbox_head": {
            "type": "RTMDetSepBNHead",
            "num_classes": classes,
            "feat_channels": channels,
            "anchor_generator": {"type": "MlvlPointGenerator", "strides": [8, 16, 32]},
            "with_objectness": False,
            "exp_on_reg": net["exp_on_reg"],
            "share_conv": net["share_conv"],
            "use_depthwise": net["depthwise"],
        },
    }


def _yolox(net: Mapping[str, Any], classes: int) -> Values:
    channels = int(256 * net["widen_factor"])
    return {
        "type": "YOLOX",
        "backbone": {
            "type": "CSPDarknet",
            "deepen_factor": net["deepen_factor"],
            "widen_factor": net["widen_factor"],
        },
        "neck": {
            "type": "YOLOXPAFPN",
            "out_channels": channels,
            "num_csp_blocks": max(round(3 * net["deepen_factor"]), 1),
        },
        "bbox_head": {
            "type": "YOLOXHead",
            "num_classes": classes,
            "feat_channels": channels,
            "use_depthwise": net["depthwise"],
        },
    }
