"""Holds every model's YAML to the official configuration of its row in the table of checkpoints.

    python -m benchmarks.audit_configs MMPOSE [--mmdetection FOLDER] [--write]

MMPOSE is a checkout of the official repository, FOLDER one of MMDetection 3. Their configurations
are read, not run (`posekit.foreign`), and brought into posekit's terms, as the YAMLs are: crop,
normalisation, flip test, codec, loss, arguments of the network. Prints each value that differs and
exits with 1 if there is one. `--write` renews `tests/data/official_values.json`, which the tests
hold the YAMLs to; rows of MMDetection stay as they are where FOLDER is not given.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from posekit.checkpoints import CHECKPOINTS, Checkpoint
from posekit.foreign.python_config import ConfigError, read_config
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, PoseSpec, load_spec
from posekit.training.losses import keypoint_weights, pose_loss

TABLE = Path(__file__).parent.parent / "tests" / "data" / "official_values.json"

OPENMMLAB = "https://download.openmmlab.com/"

Values = dict[str, Any]

# Where a YAML differs on purpose: (pattern of names, key): why.
_ALL_19 = "of its 19 keypoints the first 17, COCO's, are kept officially; all have names here"
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("hrnet-w32_coco-aic-combine-*", "output_keypoints"): _ALL_19,
    ("cspnext-*_aic-coco-*", "output_keypoints"): _ALL_19,
    ("videopose3d-*", "net.max_frames"): "officially all frames of a window make one",
    ("simplebaseline3d_*", "net.max_frames"): "each frame is lifted alone, however many there are",
    ("yolox-*", "max_detections"): "no limit officially; 1000 boxes bound the time of an image",
}

# What the classes of the official repositories take where a configuration is silent.
VIT_SIZES = {
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}  # width, depth, heads


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mmpose", type=Path)
    parser.add_argument("--mmdetection", type=Path)
    parser.add_argument("--write", action="store_true", help=f"renew {TABLE.name}")
    arguments = parser.parse_args()
    table = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    count = 0
    for row in CHECKPOINTS:
        if not is_official(row):
            continue
        try:
            official = official_values(row, arguments.mmpose, arguments.mmdetection)
        except ConfigError as error:
            official = table.get(row.name, {}).get("values")
            print(f"{row.name}: {error}; {'the table is used' if official else 'not checked'}")
            count += official is None
        if official is not None:
            table[row.name] = {"values": official, "exceptions": exceptions(row.name)}
            for line in differences(official, posekit_values(row.name), exceptions(row.name)):
                print(f"{row.name}: {line}")
                count += 1
    if arguments.write:
        write_table(table)
    print(f"{len(table)} models, {count} differences")
    return 1 if count else 0


def is_official(row: Checkpoint) -> bool:
    """Whether OpenMMLab published a row's weights, and so a configuration of them.

    Those of RTMW3D are in a project of their own, in Python that only runs there.
    """
    return row.task != "wholebody 3d" and any(
        source.location.startswith(OPENMMLAB) for source in row.sources
    )


def exceptions(name: str) -> dict[str, str]:
    """Keys that differ on purpose, and why."""
    return {key: why for (pattern, key), why in EXCEPTIONS.items() if fnmatchcase(name, pattern)}


def differences(official: Values, found: Values, allowed: Mapping[str, str]) -> list[str]:
    """A line for each value that is not the official one."""
    return [
        f"{key} is {found.get(key)!r}, official {official.get(key)!r}"
        for key in sorted({*official, *found})
        if official.get(key) != found.get(key) and key not in allowed
    ]


def write_table(table: Mapping[str, Any]) -> None:
    """One line for each model, so that changes are easy to see."""
    rows = [f"{json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)]
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


# --- posekit's side ---------------------------------------------------------------------------


def posekit_values(name: str) -> Values:
    """A YAML's values, with the defaults of the classes that it names."""
    spec = load_spec(name)
    config = spec.to_config()
    values: Values = {"net": spec.net.name}
    values |= {f"net.{key}": v for key, v in spec.net.arguments.items()}
    values |= config.get("preprocess", {})
    if not isinstance(spec, LifterSpec):
        values["input_size"] = spec.input_size
    codec = spec.codec.make()
    values["codec"] = spec.codec.name
    given = {**spec.codec.arguments, **vars(codec)}
    values |= {f"codec.{key}": given[key] for key in spec.codec.arguments}
    if isinstance(spec, DetectorSpec):
        values["nms_threshold"] = spec.nms_threshold
        values["max_detections"] = spec.max_detections
        values["classes"] = len(spec.classes)
    elif isinstance(spec, OneStageSpec):
        values["nms_threshold"] = spec.nms_threshold
        values["score_threshold"] = spec.score_threshold
        values["output_keypoints"] = spec.net.arguments["num_keypoints"]
    else:
        values["flip_test"] = spec.flip_test
        values["output_keypoints"] = spec.net.arguments["num_keypoints"]
    if hasattr(codec, "encode") and isinstance(spec, PoseSpec):
        values |= _training_values(spec, codec)
    return _plain({key: v for key, v in values.items() if key not in IRRELEVANT})


def _training_values(spec: PoseSpec, codec: Any) -> Values:
    criterion = pose_loss(spec, codec)
    arguments = {k: v for k, v in vars(criterion).items() if isinstance(v, float)}
    names = load_skeleton(spec.keypoints).names
    weights = keypoint_weights(spec.keypoint_weights, names)
    return {
        "loss": type(criterion).__name__,
        **{f"loss.{key}": v for key, v in arguments.items()},
        "loss.keypoint_weights": _weights(weights.tolist()),
    }


# Not of the official configurations, or said twice.
IRRELEVANT = frozenset({"codec.input_size", "net.split_ratio"})


def _weights(weights: Sequence[float]) -> list[float] | float:
    """One number where all are the same."""
    rounded = [round(weight, 6) for weight in weights]
    return rounded[0] if len(set(rounded)) == 1 else rounded


def _plain(values: Values) -> Values:
    """As JSON has them: lists, and numbers whose kind does not matter."""
    found: Values = json.loads(json.dumps(values))
    return dict(sorted(found.items()))


# --- the official side ------------------------------------------------------------------------


def official_values(row: Checkpoint, mmpose: Path, mmdetection: Path | None) -> Values:
    """The values of a row's official configuration, in posekit's terms.

    Raises:
        ConfigError: it is not there, or cannot be read.
    """
    packages = {"mmpose": mmpose / "configs"}
    if mmdetection is not None:
        packages["mmdet"] = mmdetection / "configs"
    path = _find(row, mmpose, mmdetection)
    config = read_config(path, packages=packages)
    try:
        model = config["model"]
        if row.task == "detection":
            return _plain(_detector(config, model))
        if row.task == "lifting":
            return _plain(_lifter(config, model))
        if str(model.get("type")).rpartition(".")[2] == "BottomupPoseEstimator":
            return _plain(_one_stage(config, model))
        return _plain(_pose(config, model, mmpose))
    except (LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: not a model of the kinds known here: {error!r}") from None


def _find(row: Checkpoint, mmpose: Path, mmdetection: Path | None) -> Path:
    folders = [mmpose / "configs", mmpose / "projects" / "rtmpose", mmpose / "demo"]
    # MMDetection 3 names GPUs and batch size together.
    names = [name.replace("_8x8_", "_8xb8-") for name in row.configs]
    if mmdetection is not None:
        folders.insert(0, mmdetection / "configs")
    for folder in folders:
        for name in dict.fromkeys([*row.configs, *names]):
            if found := sorted(folder.rglob(f"{name}.py")):
                return found[0]
    raise ConfigError(f"no file {row.config}.py")


def _pose(config: Mapping[str, Any], model: Mapping[str, Any], mmpose: Path) -> Values:
    head, backbone = model["head"], model["backbone"]
    transforms = _transforms(config, "test_dataloader")
    size = transforms["TopdownAffine"]["input_size"]
    values = {
        "input_size": size,
        **_normalisation(model["data_preprocessor"]),
        "padding": transforms["GetBBoxCenterScale"].get("padding", 1.25),
        "udp": transforms["TopdownAffine"].get("use_udp", False),
        "flip_test": model["test_cfg"].get("flip_test", False),
        **_codec(head["decoder"], model["test_cfg"]),
        **NETWORKS[backbone["type"].rpartition(".")[2]](model, size),
    }
    kept = model["test_cfg"].get("output_keypoint_indices")
    values["output_keypoints"] = len(kept) if kept else values["net.num_keypoints"]
    if "loss" not in head:
        return values
    encoder = _transforms(config, "train_dataloader")["GenerateTarget"]
    if encoder["encoder"] != head["decoder"]:
        raise ConfigError("training and test have codecs of their own")
    count = head["out_channels"] // values.get("net.maps_per_keypoint", 1)
    weights = [1.0] * count
    if encoder.get("use_dataset_keypoint_weights"):
        weights = _dataset_weights(config, mmpose)
    return {**values, **_loss(head["loss"], weights)}


def _one_stage(config: Mapping[str, Any], model: Mapping[str, Any]) -> Values:
    """RTMO; what no configuration of it changes is fixed in the network."""
    backbone, neck, head = model["backbone"], model["neck"], model["head"]
    module, dcc, test = head["head_module_cfg"], head["dcc_cfg"], model["test_cfg"]
    deepen, widen = backbone["deepen_factor"], backbone["widen_factor"]
    attention, mlp = neck["encoder_cfg"]["self_attn_cfg"], neck["encoder_cfg"]["ffn_cfg"]
    _same(
        {
            "neck.deepen_factor": (deepen, neck["deepen_factor"]),
            "neck.widen_factor": (widen, neck["widen_factor"]),
            "head.widen_factor": (widen, module["widen_factor"]),
            "hidden_dim": (256, neck["hidden_dim"]),
            "output_indices": ([1, 2], list(neck["output_indices"])),
            "num_heads": (8, attention["num_heads"]),
            "feedforward_channels": (1024, mlp["feedforward_channels"]),
            "projector": (int(512 * widen), neck["projector"]["out_channels"]),
            "pose_vec_channels": (int(512 * widen), module["pose_vec_channels"]),
            "cls_feat_channels": (256, module["cls_feat_channels"]),
            "channels_per_group": (36, module["channels_per_group"]),
            "stacked_convs": (2, module["stacked_convs"]),
            "num_classes": (1, module["num_classes"]),
            "strides": ([16, 32], list(head["featmap_strides"])),
            "centralize_points": (True, head["prior_generator"]["centralize_points"]),
            "num_bins": ([192, 256], list(dcc["num_bins"])),
            "feat_channels": (128, dcc["feat_channels"]),
            "spe_channels": (128, dcc["spe_channels"]),
            "pos_enc": ("add", dcc["gau_cfg"]["pos_enc"]),
            "bbox_padding": (1.25, head.get("bbox_padding", 1.25)),
        }
    )
    resize = _transforms(config, "test_dataloader")["BottomupResize"]
    (pad_value,) = set(resize["pad_val"])
    return {
        "net": "RTMO",
        "net.deepen_factor": deepen,
        "net.widen_factor": widen,
        "net.num_keypoints": head["num_keypoints"],
        "input_size": resize["input_size"],
        **_normalisation(model["data_preprocessor"]),
        "pad_value": pad_value,
        "codec": "PersonCells",
        "codec.strides": head["featmap_strides"],
        "score_threshold": test["score_thr"],
        "nms_threshold": test["nms_thr"],
        "output_keypoints": head["num_keypoints"],
    }


def _transforms(config: Mapping[str, Any], loader: str) -> dict[str, dict[str, Any]]:
    dataset = config[loader]["dataset"]
    steps = dataset.get("pipeline") or dataset["dataset"]["pipeline"]
    return {step["type"]: step for step in steps}


def _normalisation(preprocessor: Mapping[str, Any]) -> Values:
    return {
        "mean": preprocessor.get("mean", [0, 0, 0]),
        "std": preprocessor.get("std", [1, 1, 1]),
        "color": "rgb" if preprocessor.get("bgr_to_rgb") else "bgr",
    }


def _codec(codec: Mapping[str, Any], test: Mapping[str, Any]) -> Values:
    kind, shift = codec["type"], test.get("shift_heatmap", False)
    if kind == "SimCCLabel":
        values: Values = {
            "codec": "SimCC",
            "codec.split_ratio": codec.get("simcc_split_ratio", 2.0),
            "codec.sigma": codec.get("sigma", 6.0),
        }
        if codec.get("use_dark") or codec.get("normalize", True):
            raise ConfigError("SimCC with DARK or normalised targets is not supported")
        return values
    if kind == "Hand3DHeatmap":
        return {
            "codec": "Hand3DHeatmap",
            "codec.heatmap_size": codec["heatmap_size"],
            "codec.depth_bound": codec.get("heatmap3d_depth_bound", 400.0),
            "codec.root_cells": codec.get("root_heatmap_size", 64),
            "codec.root_depth_bound": codec.get("root_depth_bound", 400.0),
        }
    values = {
        "codec": kind,
        "codec.heatmap_size": codec["heatmap_size"],
        "codec.sigma": codec.get("sigma", 2.0),
        "codec.blur_kernel_size": codec.get("blur_kernel_size", 11),
        "codec.shift_heatmap": shift,
    }
    if kind == "MSRAHeatmap":
        return {**values, "codec.dark": codec.get("unbiased", False)}
    return {
        **values,
        "codec.combined": codec.get("heatmap_type", "gaussian") == "combined",
        "codec.radius_factor": codec.get("radius_factor", 0.0546875),
    }


def _loss(loss: Mapping[str, Any], weights: list[float]) -> Values:
    if not loss.get("use_target_weight", loss["type"] == "KLDiscretLoss"):
        raise ConfigError("a loss without weights is not supported")
    for index in loss.get("mask") or ():
        weights[index] *= loss.get("mask_weight", 1.0)
    values: Values = {"loss.keypoint_weights": _weights(weights)}
    if loss.get("loss_weight", 1.0) != 1.0:
        raise ConfigError("a weight of the whole loss is not supported")
    if loss["type"] == "KLDiscretLoss":
        if not loss.get("label_softmax"):
            raise ConfigError("SimCC's loss without a softmax of the labels is not supported")
        return {
            "loss": "SimCCLoss",
            "loss.beta": float(loss.get("beta", 1.0)),
            "loss.label_beta": float(loss.get("label_beta", 10.0)),
            **values,
        }
    if loss["type"] == "AdaptiveWingLoss":
        defaults = {"alpha": 2.1, "omega": 14.0, "epsilon": 1.0, "theta": 0.5}
        given = {f"loss.{key}": float(loss.get(key, v)) for key, v in defaults.items()}
        return {"loss": "AdaptiveWingLoss", **given, **values}
    if loss["type"] in ("KeypointMSELoss", "CombinedTargetMSELoss"):
        return {"loss": "HeatmapLoss", **values}
    raise ConfigError(f"the loss {loss['type']} is not supported")


def _dataset_weights(config: Mapping[str, Any], mmpose: Path) -> list[float]:
    """`joint_weights` of the training set's description."""
    described = config["train_dataloader"]["dataset"]["metainfo"]["from_file"]
    info = read_config(mmpose / described)["dataset_info"]
    return [float(weight) for weight in info["joint_weights"]]


def _cspnext(model: Mapping[str, Any], size: Sequence[int]) -> Values:
    head, backbone, neck = model["head"], model["backbone"], model.get("neck")
    _same(
        {
            "arch": ("P5", backbone.get("arch", "P5")),
            "expand_ratio": (0.5, backbone.get("expand_ratio", 0.5)),
            "channel_attention": (True, backbone.get("channel_attention", True)),
        }
    )
    if head["type"] == "HeatmapHead":
        _same({"neck": (None, neck), "deconv": ((256,) * 3, _deconvs(head))})
        return {
            "net": "CSPNeXtPose",
            "net.deepen_factor": backbone["deepen_factor"],
            "net.widen_factor": backbone["widen_factor"],
            "net.num_keypoints": head["out_channels"],
        }
    fixed = {
        "final_layer_kernel_size": (7, head.get("final_layer_kernel_size", 1)),
        "hidden_dims": (256, head["gau_cfg"]["hidden_dims"]),
        "s": (128, head["gau_cfg"].get("s", 128)),
        "expansion_factor": (2, head["gau_cfg"].get("expansion_factor", 2)),
        "use_rel_bias": (False, head["gau_cfg"].get("use_rel_bias", True)),
        "pos_enc": (False, head["gau_cfg"].get("pos_enc", False)),
    }
    _same(fixed)
    values = {
        "net": "RTMPose" if neck is None else "RTMW",
        "net.deepen_factor": backbone["deepen_factor"],
        "net.widen_factor": backbone["widen_factor"],
        "net.num_keypoints": head["out_channels"],
        "net.input_size": size,
    }
    if neck is not None:
        _same({"neck": ("CSPNeXtPAFPN", neck["type"]), "out": (None, neck["out_channels"])})
        values["net.neck_blocks"] = neck["num_csp_blocks"]
    return values


def _hrnet(model: Mapping[str, Any], size: Sequence[int]) -> Values:
    extra, neck, head = model["backbone"]["extra"], model.get("neck") or {}, model["head"]
    stages = [extra[f"stage{number}"] for number in (2, 3, 4)]
    width = stages[0]["num_channels"][0]
    blocks = {count for stage in stages for count in stage["num_blocks"]}
    concat = bool(neck.get("concat"))
    last = [width * 15] if concat else None
    _same(
        {
            "stage1": ([4], list(extra["stage1"]["num_blocks"])),
            "num_channels": (
                [[width * 2**i for i in range(n + 2)] for n in range(3)],
                [list(stage["num_channels"]) for stage in stages],
            ),
            "deconv": (None, head.get("deconv_out_channels", (256, 256, 256))),
            "conv": (last, _listed(head.get("conv_out_channels"))),
        }
    )
    maps = 3 if head["decoder"].get("heatmap_type") == "combined" else 1
    return {
        "net": "HRNetPose",
        "net.width": width,
        "net.num_keypoints": head["out_channels"] // maps,
        "net.maps_per_keypoint": maps,
        "net.concat_branches": concat,
        "net.upsample": extra.get("upsample", {}).get("mode", "nearest"),
        "net.num_modules": [stage["num_modules"] for stage in stages],
        "net.num_blocks": min(blocks) if len(blocks) == 1 else sorted(blocks),
    }


def _resnet(model: Mapping[str, Any], size: Sequence[int]) -> Values:
    head, depth = model["head"], model["backbone"]["depth"]
    if head["type"] == "InternetHead":
        maps, roots = head["keypoint_head_cfg"], head["root_head_cfg"]
        _same({"deconv": ([256] * 3, _listed(maps["deconv_out_channels"]))})
        return {
            "net": "InterNet",
            "net.depth": depth,
            "net.num_keypoints": 2 * maps["out_channels"] // maps["depth_size"],
            "net.depth_size": maps["depth_size"],
            "net.root_cells": roots["heatmap_size"],
        }
    backbone, deconvs = model["backbone"], _simple_head(head)
    _same(
        {
            "style": ("pytorch", backbone.get("style", "pytorch")),
            "groups": ((32, 4), (backbone.get("groups", 32), backbone.get("width_per_group", 4))),
            "se_ratio": (16, backbone.get("se_ratio", 16)),
        }
    )
    return {
        "net": "ResNetPose",
        "net.kind": backbone["type"].lower(),
        "net.depth": depth,
        "net.num_keypoints": head["out_channels"],
        "net.num_deconvs": len(deconvs),
    }


def _mobilenet(model: Mapping[str, Any], size: Sequence[int]) -> Values:
    backbone, head = model["backbone"], model["head"]
    _same(
        {
            "widen_factor": (1.0, backbone["widen_factor"]),
            "out_indices": ((7,), tuple(backbone["out_indices"])),
            "deconvolutions": (3, len(_simple_head(head))),
        }
    )
    return {"net": "MobileNetV2Pose", "net.num_keypoints": head["out_channels"]}


def _simple_head(head: Mapping[str, Any]) -> tuple[int, ...]:
    """The deconvolutions of a Simple Baseline."""
    deconvs = _deconvs(head)
    _same(
        {
            "head": ("HeatmapHead", head["type"]),
            "deconv": ((256,) * len(deconvs), deconvs),
            "conv": (None, head.get("conv_out_channels")),
        }
    )
    return deconvs


def _deconvs(head: Mapping[str, Any]) -> tuple[int, ...]:
    """Channels of a head's deconvolutions, all of which have kernels of 4."""
    deconvs = tuple(head.get("deconv_out_channels", (256, 256, 256)))
    kernels = tuple(head.get("deconv_kernel_sizes", (4, 4, 4)))
    _same({"kernels": ((4,) * len(deconvs), kernels)})
    return deconvs


def _vit(model: Mapping[str, Any], size: Sequence[int]) -> Values:
    head, backbone, arch = model["head"], model["backbone"], model["backbone"]["arch"]
    if isinstance(arch, str):
        width, depth, heads = VIT_SIZES[arch]
        ratio = 4.0
    else:
        width, depth, heads = (arch[k] for k in ("embed_dims", "num_layers", "num_heads"))
        ratio = arch["feedforward_channels"] / width
    simple = not head["deconv_out_channels"]
    neck = model.get("neck") or {}
    _same(
        {
            "qkv_bias": (True, backbone["qkv_bias"]),
            "with_cls_token": (False, backbone["with_cls_token"]),
            "img_size": (tuple(size)[::-1], tuple(backbone["img_size"])),
            "deconv": ([] if simple else [256, 256], _listed(head["deconv_out_channels"])),
            "kernel": (3 if simple else 1, head.get("final_layer", {}).get("kernel_size", 1)),
            "neck": ((4.0, True) if simple else (1.0, False), _scaled(neck)),
        }
    )
    return {
        "net": "ViTPose",
        "net.embed_dim": width,
        "net.depth": depth,
        "net.num_heads": heads,
        "net.mlp_ratio": ratio,
        "net.num_keypoints": head["out_channels"],
        "net.simple_head": simple,
        "net.input_size": size,
        "net.patch_size": backbone["patch_size"],
        "net.patch_padding": backbone["patch_cfg"]["padding"],
        "net.drop_path_rate": 0.0,  # of training alone, which the recipe has
    }


NETWORKS: dict[str, Callable[[Mapping[str, Any], Sequence[int]], Values]] = {
    "CSPNeXt": _cspnext,
    "HRNet": _hrnet,
    "MobileNetV2": _mobilenet,
    **dict.fromkeys(("ResNet", "ResNeXt", "ResNetV1d", "SEResNet"), _resnet),
    "VisionTransformer": _vit,
}


def _lifter(config: Mapping[str, Any], model: Mapping[str, Any]) -> Values:
    backbone, head = model["backbone"], model["head"]
    if backbone["type"] == "TCN":
        return _temporal(config, backbone, head, model.get("test_cfg", {}))
    _same({"in_channels": (3, backbone["in_channels"])})
    return {
        "net": "MotionBERT",
        "net.channels": backbone["feat_size"],
        "net.depth": backbone["depth"],
        "net.num_heads": backbone["num_heads"],
        "net.mlp_ratio": backbone["mlp_ratio"],
        "net.adaptive_fusion": backbone.get("att_fuse", True),
        "net.max_frames": backbone["seq_len"],
        "net.representation_channels": head["embedding_size"],
        "net.num_keypoints": head["decoder"]["num_keypoints"],
        "codec": "MotionBERTLift",
        "codec.root_relative": head["decoder"].get("rootrel", False),
        "flip_test": model["test_cfg"].get("flip_test", False),
        "output_keypoints": head["decoder"]["num_keypoints"],
    }


def _temporal(
    config: Mapping[str, Any],
    backbone: Mapping[str, Any],
    head: Mapping[str, Any],
    test: Mapping[str, Any],
) -> Values:
    decoder, frames = head["decoder"], config["test_dataloader"]["dataset"]
    single = decoder["type"] == "ImagePoseLifting"  # a frame, of which the order does not matter
    removed = bool(decoder.get("remove_root", False))
    _same(
        {
            "codec": (True, decoder["type"] in ("ImagePoseLifting", "VideoPoseLifting")),
            "in_channels": (2 * (head["num_joints"] + removed), backbone["in_channels"]),
            "causal": ((False, single), (backbone.get("causal", False), frames["causal"])),
            "frames seen": (math.prod(backbone["kernel_sizes"]), frames["seq_len"]),
            "padding": (frames["seq_len"] > 1, frames.get("pad_video_seq", False)),
            "root": ((0, True, single), _root(decoder)),
        }
    )
    statistics = ("keypoints_mean", "keypoints_std", "target_mean", "target_std")
    return {
        "net": "VideoPose3D",
        "net.kernel_sizes": backbone["kernel_sizes"],
        "net.channels": backbone["stem_channels"],
        "net.num_keypoints": head["num_joints"] + removed,
        "net.gives_root": not removed,
        "codec": "ImagePoseLift" if single else "VideoPoseLift",
        **({"codec.root": 0} if single else {}),
        **({f"codec.{key}": _rows(decoder[key]) for key in statistics} if single else {}),
        "flip_test": test.get("flip_test", False),
        "output_keypoints": head["num_joints"] + removed,
    }


def _rows(values: Any) -> Any:
    """A list of a row for each joint, which may stand in a list of one."""
    return _rows(values[0]) if isinstance(values[0][0], list) else values


def _root(codec: Mapping[str, Any]) -> tuple[int, bool, bool]:
    keys = (("root_index", 0), ("zero_center", True), ("remove_root", False))
    index, center, remove = (codec.get(key, default) for key, default in keys)
    return index, center, remove


def _detector(config: Mapping[str, Any], model: Mapping[str, Any]) -> Values:
    transforms, test = _transforms(config, "test_dataloader"), model["test_cfg"]
    head = model["bbox_head"]
    values = {
        "input_size": transforms["Resize"]["scale"],
        "keep_ratio": transforms["Resize"].get("keep_ratio", False),
        **_normalisation(model.get("data_preprocessor", {})),
        "pad_value": transforms.get("Pad", {}).get("pad_val", {}).get("img", [0])[0],
        "nms_threshold": test["nms"]["iou_threshold"],
        "max_detections": test.get("max_per_img"),
        "classes": head["num_classes"],
        "net.num_classes": head["num_classes"],
    }
    return {**values, **DETECTORS[head["type"]](model, head)}


def _rtmdet(model: Mapping[str, Any], head: Mapping[str, Any]) -> Values:
    backbone, neck = model["backbone"], model["neck"]
    _same({"channels": (neck["out_channels"], head["feat_channels"])})
    return {
        "net": "RTMDet",
        "net.deepen_factor": backbone["deepen_factor"],
        "net.widen_factor": backbone["widen_factor"],
        "net.neck_channels": neck["out_channels"],
        "net.neck_blocks": neck["num_csp_blocks"],
        "net.depthwise": head.get("use_depthwise", False),
        "net.share_conv": head["share_conv"],
        "net.exp_on_reg": head["exp_on_reg"],
        "codec": "DistanceBoxes",
        "codec.strides": head["anchor_generator"]["strides"],
    }


def _yolox(model: Mapping[str, Any], head: Mapping[str, Any]) -> Values:
    backbone, neck = model["backbone"], model["neck"]
    deepen, widen = backbone["deepen_factor"], backbone["widen_factor"]
    # What posekit derives from these two.
    blocks, channels = max(round(3 * deepen), 1), int(256 * widen)
    _same(
        {
            "blocks": (blocks, neck["num_csp_blocks"]),
            "channels": ((channels,) * 2, (neck["out_channels"], head["feat_channels"])),
        }
    )
    return {
        "net": "YOLOX",
        "net.deepen_factor": deepen,
        "net.widen_factor": widen,
        "net.depthwise": head.get("use_depthwise", False),
        "codec": "YOLOXBoxes",
        "codec.strides": head.get("strides", (8, 16, 32)),
    }


def _ssd(model: Mapping[str, Any], head: Mapping[str, Any]) -> Values:
    anchors, coder = head["anchor_generator"], head["bbox_coder"]
    ratios = [list(ratio) for ratio in anchors["ratios"]]
    _same({"ratios": ([ratios[0]] * len(ratios), ratios)})
    return {
        "net": "SSDLite",
        "net.anchors_per_cell": 2 + 2 * len(ratios[0]),
        "codec": "SSDBoxes",
        "codec.strides": anchors["strides"],
        "codec.min_sizes": anchors["min_sizes"],
        "codec.max_sizes": anchors["max_sizes"],
        "codec.ratios": ratios[0],
        "codec.stds": coder["target_stds"],
    }


DETECTORS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Values]] = {
    "RTMDetSepBNHead": _rtmdet,
    "YOLOXHead": _yolox,
    "SSDHead": _ssd,
}


def _listed(value: Any) -> list[Any] | None:
    return None if value is None else list(value)


def _scaled(neck: Mapping[str, Any]) -> tuple[float, bool]:
    return neck.get("scale_factor", 1.0), neck.get("apply_relu", False)


def _same(pairs: Mapping[str, tuple[Any, Any]]) -> None:
    """What posekit's networks have built in.

    Raises:
        ConfigError: the official configuration has something else.
    """
    for key, (expected, found) in pairs.items():
        if expected != found:
            raise ConfigError(f"{key}: posekit has {expected!r} built in, official {found!r}")


if __name__ == "__main__":
    sys.exit(main())
