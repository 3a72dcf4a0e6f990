"""Top-down pose models of MMPose: their configuration in posekit's terms."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.foreign.description import Description, expect, normalisation, short, steps_of, take
from posekit.foreign.python_config import ConfigError
from posekit.foreign.skeletons import find_skeleton

__all__ = ["describe_pose"]

Values = dict[str, Any]
MODELS = "posekit.models."
# What VisionTransformer takes for a name: width, depth, heads.
VIT_SIZES = {
    "small": (384, 12, 12),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}
# What finds the subject of a skeleton: the detector, and which of its classes.
PEOPLE = ("rtmdet-m_person-640", [0])
SUBJECTS: dict[str, tuple[str, list[int]]] = {
    **dict.fromkeys(
        ("300w", "300wlp", "aflw", "coco_wholebody_face", "cofw", "lapa", "wflw"),
        ("yolox-s_face-640", [0]),
    ),
    **dict.fromkeys(
        ("coco_wholebody_hand", "freihand2d", "interhand2d", "onehand10k", "rhd2d"),
        ("rtmdet-nano_hand-320", [0]),
    ),
    **dict.fromkeys(
        ("animalpose", "ap10k", "apt36k", "macaque"),
        ("rtmdet-m_coco-640", [15, 16, 17, 18, 19, 20, 21, 22, 23]),
    ),
    "ak": ("rtmdet-m_coco-640", [14, 15, 16, 17, 18, 19, 20, 21, 22, 23]),
    "zebra": ("rtmdet-m_coco-640", [22]),
    **dict.fromkeys(("fly", "interhand3d", "locust"), ("whole_image", [0])),
}
BODY = ("shoulder", "hip", "knee")  # parts of names that a body has


def describe_pose(config: Mapping[str, Any], path: Path | None) -> Description:
    """The YAML of a `TopdownPoseEstimator`.

    Args:
        config: all values of the configuration.
        path: its file, for the files that it names.

    Raises:
        ConfigError: a setting has no counterpart in posekit; the message names its key.
    """
    model = config["model"]
    head, backbone = take(config, "model.head"), take(config, "model.backbone")
    steps, test = steps_of(config), model.get("test_cfg") or {}
    size = _input_size(head, steps)
    network = NETWORKS.get(short(backbone.get("type")))
    if network is None:
        known = ", ".join(NETWORKS)
        raise ConfigError(f"backbone {backbone.get('type')}: expected one of {known}")
    net, count = network(model, head)
    affine, box = steps.get("TopdownAffine", {}), steps.get("GetBBoxCenterScale", {})
    values: Values = {
        "net": net,
        "input_size": list(size),
        "preprocess": {
            **normalisation(model),
            "padding": box.get("padding", 1.25),
            "udp": affine.get("use_udp", False),
        },
        "codec": _codec(take(head, "decoder"), test, size),
        "flip_test": bool(test.get("flip_test", False)),
    }
    found = Description("model", values)
    if test.get("output_keypoint_indices"):
        found.notes.append("test_cfg.output_keypoint_indices: ignored, all keypoints are returned")
    values["keypoints"], found.skeleton = find_skeleton(config, path, count)
    if net["_target_"].startswith((MODELS + "rtmw3d.", MODELS + "internet.")):
        values["keypoints_3d"] = True
    values |= _subject(found)
    loss = _loss(head.get("loss"), found.notes)
    if loss is not None:
        values["loss"] = loss
    return found


def _subject(found: Description) -> Values:
    """The detector, which a configuration of MMPose does not name."""
    name = found.values["keypoints"]
    if found.skeleton is None:
        detector, classes = SUBJECTS.get(name, PEOPLE)
        return {"detector": detector, "detector_categories": classes}
    names = [str(row[0]).lower() for row in found.skeleton["keypoints"]]
    if all(any(part in name for name in names) for part in BODY):
        return {"detector": PEOPLE[0]}
    found.notes.append(
        f"the kind of object with keypoints '{name}' is unknown: each image is used as one box; "
        "detector=NAME chooses a detector"
    )
    return {"detector": "whole_image"}


def _input_size(head: Mapping[str, Any], steps: Mapping[str, Any]) -> tuple[int, int]:
    decoder = take(head, "decoder")
    size = steps.get("TopdownAffine", {}).get("input_size") or decoder.get("image_size")
    size = size or take(head, "decoder.input_size")
    return int(size[0]), int(size[1])


def _codec(codec: Mapping[str, Any], test: Mapping[str, Any], size: Sequence[int]) -> Values:
    kind = short(codec.get("type"))
    if kind == "Hand3DHeatmap":
        return _hand_codec(codec, size)
    if kind not in ("SimCCLabel", "SimCC3DLabel", "MSRAHeatmap", "UDPHeatmap"):
        raise ConfigError(f"decoder {kind}: expected SimCCLabel, MSRAHeatmap or UDPHeatmap")
    if list(codec.get("input_size", size))[:2] != list(size):
        raise ConfigError(f"decoder.input_size is {codec['input_size']}, and the crop's is {size}")
    if kind == "SimCC3DLabel":
        return {
            "_target_": "posekit.codecs.simcc3d.SimCC3D",
            "split_ratio": float(codec.get("simcc_split_ratio", 2.0)),
            "depth": int(codec["input_size"][2]),
            "z_range": float(codec.get("z_range") or 2.1744869),
        }
    if kind == "SimCCLabel":
        if codec.get("use_dark") or codec.get("smoothing_type", "gaussian") != "gaussian":
            raise ConfigError("decoder: expected SimCC with Gaussian targets and without DARK")
        sigma = codec.get("sigma", 6.0)
        sigma = sigma if isinstance(sigma, list | tuple) else [sigma] * 2
        return {
            "_target_": "posekit.codecs.simcc.SimCC",
            "split_ratio": float(codec.get("simcc_split_ratio", 2.0)),
            "sigma": [
                float(x) for x in (sigma if isinstance(sigma, list | tuple) else [sigma] * 2)
            ],
        }
    values: Values = {
        "heatmap_size": list(codec.get("heatmap_size") or ()),
        "sigma": float(codec.get("sigma", 2.0)),
        "blur_kernel_size": codec.get("blur_kernel_size", 11),
        "shift_heatmap": bool(test.get("shift_heatmap", False)),
    }
    if kind == "MSRAHeatmap":
        target = "posekit.codecs.heatmap.MSRAHeatmap"
        return {"_target_": target, **values, "dark": bool(codec.get("unbiased", False))}
    return {
        "_target_": "posekit.codecs.heatmap.UDPHeatmap",
        **values,
        "combined": codec.get("heatmap_type", "gaussian") == "combined",
        "radius_factor": codec.get("radius_factor", 0.0546875),
    }


def _hand_codec(codec: Mapping[str, Any], size: Sequence[int]) -> Values:
    expect(
        {
            "decoder.image_size": (list(size), list(codec.get("image_size", (256, 256)))),
            "decoder.max_bound": (255.0, float(codec.get("max_bound", 1.0))),
        }
    )
    return {
        "_target_": "posekit.codecs.hand3d.Hand3DHeatmap",
        "heatmap_size": list(codec.get("heatmap_size", (64, 64, 64))),
        "depth_bound": float(codec.get("heatmap3d_depth_bound", 400.0)),
        "root_cells": int(codec.get("root_heatmap_size", 64)),
        "root_depth_bound": float(codec.get("root_depth_bound", 400.0)),
    }


def _loss(loss: Any, notes: list[str]) -> Values | None:
    """The loss, for training only; one without a counterpart is left out, with a note."""
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        kind = short(loss.get("type"))
        if kind == "KLDiscretLoss":
            numbers = {"beta": float(loss.get("beta", 1.0))}
            if "label_beta" in loss:
                numbers["label_beta"] = float(loss["label_beta"])
            return {"_target_": "posekit.training.losses.SimCCLoss", **numbers}
        if kind == "AdaptiveWingLoss":
            names = ("alpha", "omega", "epsilon", "theta")
            numbers = {key: float(loss[key]) for key in names if key in loss}
            return {"_target_": "posekit.training.losses.AdaptiveWingLoss", **numbers}
        if kind not in ("KeypointMSELoss", "CombinedTargetMSELoss"):
            notes.append(f"loss {kind}: training uses the usual loss of the codec instead")
    return None


def _cspnext(model: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[Values, int]:
    backbone, neck, kind = model["backbone"], model.get("neck"), short(head.get("type"))
    expect(
        {
            "backbone.arch": ("P5", backbone.get("arch", "P5")),
            "backbone.expand_ratio": (0.5, backbone.get("expand_ratio", 0.5)),
            "backbone.channel_attention": (True, backbone.get("channel_attention", True)),
        }
    )
    net: Values = {
        "deepen_factor": float(backbone.get("deepen_factor", 1.0)),
        "widen_factor": float(backbone.get("widen_factor", 1.0)),
    }
    if kind == "HeatmapHead":
        deconv = _deconv_channels(head)
        expect({"neck": (None, neck), "head.deconv_out_channels": ([256] * 3, deconv)})
        net = {"_target_": MODELS + "cspnext_pose.CSPNeXtPose", **net}
    elif kind == "RTMCCHead" and neck is None:
        _expect_attention(head)
        net = {"_target_": MODELS + "rtmpose.RTMPose", **net}
    elif kind in ("RTMWHead", "RTMW3DHead") and neck is not None:
        _expect_attention(head)
        expect({"neck.type": ("CSPNeXtPAFPN", short(neck.get("type")))})
        expect({"neck.out_channels": (None, neck.get("out_channels"))})
        target = "rtmw.RTMW" if kind == "RTMWHead" else "rtmw3d.RTMW3D"
        net = {"_target_": MODELS + target, **net, "neck_blocks": neck.get("num_csp_blocks", 3)}
        if kind == "RTMW3DHead":
            net["depth"] = int(take(head, "input_size")[2])
    else:
        raise ConfigError(
            f"head {kind} on CSPNeXt: expected RTMCCHead, RTMWHead with its neck, or HeatmapHead"
        )
    return net, int(take(head, "out_channels"))


def _expect_attention(head: Mapping[str, Any]) -> None:
    """Refuses settings that RTMPose's heads do not have."""
    gau = take(head, "gau_cfg")
    expect(
        {
            "head.final_layer_kernel_size": (7, head.get("final_layer_kernel_size", 1)),
            "head.gau_cfg.hidden_dims": (256, gau.get("hidden_dims", 256)),
            "head.gau_cfg.s": (128, gau.get("s", 128)),
            "head.gau_cfg.expansion_factor": (2, gau.get("expansion_factor", 2)),
            "head.gau_cfg.use_rel_bias": (False, gau.get("use_rel_bias", True)),
            "head.gau_cfg.pos_enc": (False, gau.get("pos_enc", False)),
        }
    )


def _deconv_channels(head: Mapping[str, Any]) -> list[int]:
    return list(head.get("deconv_out_channels", (256, 256, 256)) or ())


def _heatmap_head(head: Mapping[str, Any], backbone: str) -> None:
    kind = short(head.get("type"))
    if kind != "HeatmapHead":
        raise ConfigError(f"head {kind} on {backbone}: expected HeatmapHead")


def _hrnet(model: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[Values, int]:
    _heatmap_head(head, "HRNet")
    extra, neck = take(model, "backbone.extra"), model.get("neck") or {}
    stages = [take(extra, f"stage{number}") for number in (2, 3, 4)]
    width = stages[0]["num_channels"][0]
    blocks = sorted({count for stage in stages for count in stage["num_blocks"]})
    concat = bool(neck.get("concat"))
    expect(
        {
            "backbone.extra.stage1.num_blocks": ([4], extra["stage1"]["num_blocks"]),
            "num_channels of stages 2 to 4": (
                [[width * 2**i for i in range(n + 2)] for n in range(3)],
                [list(stage["num_channels"]) for stage in stages],
            ),
            "head.deconv_out_channels": (None, head.get("deconv_out_channels", (256,) * 3)),
            "head.conv_out_channels": (
                [width * 15] if concat else None,
                head.get("conv_out_channels") and list(head["conv_out_channels"]),
            ),
        }
    )
    if len(blocks) > 1:
        raise ConfigError(f"num_blocks of stages 2 to 4: expected the same in all, found {blocks}")
    maps = 3 if take(head, "decoder").get("heatmap_type") == "combined" else 1
    net: Values = {
        "_target_": MODELS + "hrnet.HRNetPose",
        "width": width,
        "maps_per_keypoint": maps,
        "concat_branches": concat,
        "upsample": extra.get("upsample", {}).get("mode", "nearest"),
        "num_modules": [stage["num_modules"] for stage in stages],
        "num_blocks": blocks[0],
    }
    return net, int(take(head, "out_channels")) // maps


# Backbones that are a ResNet but for what their kind says.
RESNETS = {
    "ResNet": "resnet",
    "ResNeXt": "resnext",
    "ResNetV1d": "resnetv1d",
    "SEResNet": "seresnet",
}


def _resnet(model: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[Values, int]:
    backbone = model["backbone"]
    kind = short(backbone.get("type"))
    expect(
        {
            "backbone.style": ("pytorch", backbone.get("style", "pytorch")),
            "backbone.deep_stem": (False, backbone.get("deep_stem", False)),
            "backbone.avg_down": (False, backbone.get("avg_down", False)),
            "backbone.strides": ([1, 2, 2, 2], list(backbone.get("strides", (1, 2, 2, 2)))),
            "backbone.dilations": ([1] * 4, list(backbone.get("dilations", (1,) * 4))),
            "backbone.groups": (32, backbone.get("groups", 32)),
            "backbone.width_per_group": (4, backbone.get("width_per_group", 4)),
            "backbone.se_ratio": (16, backbone.get("se_ratio", 16)),
        }
    )
    if short(head.get("type")) == "InternetHead":
        expect({"backbone.type": ("ResNet", kind)})
        return _internet(backbone, head)
    net: Values = {
        "_target_": MODELS + "resnet.ResNetPose",
        "depth": take(backbone, "depth"),
        "kind": RESNETS[kind],
        "num_deconvs": _simple_head(head, kind),
    }
    return net, int(take(head, "out_channels"))


def _simple_head(head: Mapping[str, Any], backbone: str) -> int:
    """How many deconvolutions a Simple Baseline has."""
    _heatmap_head(head, backbone)
    deconv = _deconv_channels(head)
    expect(
        {
            "head.deconv_out_channels": ([256] * len(deconv), deconv),
            "head.deconv_kernel_sizes": (
                [4] * len(deconv),
                list(head.get("deconv_kernel_sizes", (4, 4, 4)) or ()),
            ),
            "head.conv_out_channels": (None, head.get("conv_out_channels")),
        }
    )
    return len(deconv)


def _mobilenet(model: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[Values, int]:
    backbone = model["backbone"]
    expect(
        {
            "backbone.widen_factor": (1.0, float(backbone.get("widen_factor", 1.0))),
            "backbone.out_indices": ([7], list(backbone.get("out_indices", (7,)))),
            "number of head.deconv_out_channels": (3, _simple_head(head, "MobileNetV2")),
        }
    )
    return {"_target_": MODELS + "mobilenet.MobileNetV2Pose"}, int(take(head, "out_channels"))


def _internet(backbone: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[Values, int]:
    maps, roots = take(head, "keypoint_head_cfg"), take(head, "root_head_cfg")
    kinds, decoder = take(head, "hand_type_head_cfg"), take(head, "decoder")
    depth, cells = int(maps.get("depth_size", 64)), int(roots.get("heatmap_size", 64))
    deconv = _deconv_channels(maps)
    expect(
        {
            "head.keypoint_head_cfg.deconv_out_channels": ([256] * 3, deconv),
            "head.keypoint_head_cfg.deconv_kernel_sizes": (
                [4] * 3,
                list(maps.get("deconv_kernel_sizes", (4, 4, 4)) or ()),
            ),
            "head.root_head_cfg.hidden_dims": ([512], list(roots.get("hidden_dims", (512,)))),
            "head.hand_type_head_cfg.hidden_dims": ([512], list(kinds.get("hidden_dims", (512,)))),
            "head.hand_type_head_cfg.num_labels": (2, kinds.get("num_labels", 2)),
            "head.decoder.heatmap_size[2]": (depth, decoder.get("heatmap_size", [64] * 3)[2]),
            "head.decoder.root_heatmap_size": (cells, decoder.get("root_heatmap_size", 64)),
        }
    )
    net: Values = {
        "_target_": MODELS + "internet.InterNet",
        "depth": take(backbone, "depth"),
        "depth_size": depth,
        "root_cells": cells,
    }
    return net, 2 * (int(take(maps, "out_channels")) // depth)


def _vit(model: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[Values, int]:
    _heatmap_head(head, "VisionTransformer")
    backbone, arch = model["backbone"], take(model, "backbone.arch")
    if isinstance(arch, str):
        if arch not in VIT_SIZES:
            raise ConfigError(
                f"backbone.arch: expected one of {', '.join(VIT_SIZES)}, found {arch}"
            )
        width, depth, heads = VIT_SIZES[arch]
        ratio = 4.0
    else:
        width, depth, heads = (arch[k] for k in ("embed_dims", "num_layers", "num_heads"))
        ratio = arch["feedforward_channels"] / width
    deconv = _deconv_channels(head)
    neck = model.get("neck") or {}
    simple = not deconv
    kernel = (head.get("final_layer") or {}).get("kernel_size", 1)
    expect(
        {
            "backbone.qkv_bias": (True, backbone.get("qkv_bias", True)),
            "backbone.with_cls_token": (False, backbone.get("with_cls_token", True)),
            "head.deconv_out_channels": ([] if simple else [256, 256], deconv),
            "head.final_layer.kernel_size": (3 if simple else 1, kernel),
            "neck.scale_factor": (4.0 if simple else 1.0, neck.get("scale_factor", 1.0)),
        }
    )
    net: Values = {
        "_target_": MODELS + "vitpose.ViTPose",
        "embed_dim": width,
        "depth": depth,
        "num_heads": heads,
        "mlp_ratio": float(ratio),
        "simple_head": simple,
        "patch_size": backbone.get("patch_size", 16),
        "patch_padding": (backbone.get("patch_cfg") or {}).get("padding", 0),
    }
    return net, int(take(head, "out_channels"))


NETWORKS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Values, int]]] = {
    "CSPNeXt": _cspnext,
    "HRNet": _hrnet,
    "MobileNetV2": _mobilenet,
    **dict.fromkeys(RESNETS, _resnet),
    "VisionTransformer": _vit,
}
