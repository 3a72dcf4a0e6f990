"""The table of published checkpoints: one row each. Light: imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHECKPOINTS", "Checkpoint", "Metric", "Source"]


@dataclass(frozen=True)
class Source:
    """One place that a checkpoint can be had from.

    Attributes:
        location: `https://...`, or `hf://org/repo/path/in/repo@revision` for a Hub repository.
        sha256: the file's digest, whole or its first digits; a file with another one is refused.
            None where none is known. (Digits in a file's name are a hint, not a promise.)
        stands_in: what the file holds, where it is other weights than those that the row's figures
            are of; it is taken with a warning. None for the row's own.
    """

    location: str
    sha256: str | None = None
    stands_in: str | None = None


@dataclass(frozen=True)
class Metric:
    """One published figure, as its authors state it."""

    dataset: str
    name: str
    value: float


@dataclass(frozen=True)
class Checkpoint:
    """All that is known about a published checkpoint.

    Attributes:
        name: the public model name; its YAML in `conf/` has this stem.
        task: what the model finds, e.g. "body" or "detection".
        config: the official config's name, which resolves to this row too.
        older_configs: names that the official config had before, which resolve likewise.
        superseded: names of files that the row had before; one that is cached is not used any more.
        sources: where the weights can be had, tried in order; none for what the package holds.
        metrics: published figures.
        license: of the weights.
        training_data: what the weights were trained on.
        aliases: further names that resolve to this row.
    """

    name: str
    task: str
    config: str
    sources: tuple[Source, ...]
    metrics: tuple[Metric, ...]
    license: str
    training_data: str
    aliases: tuple[str, ...] = ()
    older_configs: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()

    @property
    def configs(self) -> tuple[str, ...]:
        """Every name of the official config."""
        return (self.config, *self.older_configs)


# Download folders of OpenMMLab.
_DOWNLOADS = "https://download.openmmlab.com/"
V1 = _DOWNLOADS + "mmpose/v1/projects/rtmposev1/"
V1_RTMPOSE = _DOWNLOADS + "mmpose/v1/projects/rtmpose/"
V1_BASE = _DOWNLOADS + "mmpose/v1/"
TOPDOWN_COCO = V1_BASE + "body_2d_keypoint/topdown_heatmap/coco/"
TOP_DOWN = _DOWNLOADS + "mmpose/top_down/"
MMPOSE = _DOWNLOADS + "mmpose/"
RTMW = _DOWNLOADS + "mmpose/v1/projects/rtmw/"
RTMO = _DOWNLOADS + "mmpose/v1/projects/rtmo/"
MMDET2 = _DOWNLOADS + "mmdetection/v2.0/"
MMDET3 = _DOWNLOADS + "mmdetection/v3.0/rtmdet/"

# Files of Hub repositories. No revision of these exports is known to pin them to.
ONNX_EXPORTS = "hf://michele-xilo/rtmpose-rs/"
# OpenMMLab's file is this one, renamed.
MOTIONBERT = (
    "hf://walterzhu/MotionBERT/checkpoint/pose3d/FT_MB_release_MB_ft_h36m/best_epoch.bin"
    "@370a9196aa3c89198b134c82476143b01c0fb32c"
)
_VITPOSE_AUTHORS = "trained by the authors of ViTPose, not by OpenMMLab"
VITPOSE_B = Source(
    "hf://usyd-community/vitpose-base/model.safetensors@95be2991424e646950d656bb7fc15ec9be119700",
    sha256="cd9a4e6cefc33c51ddcc32dd509fc4114b5845256463a69a10ea2dfde402b2f8",
    stands_in=_VITPOSE_AUTHORS,
)
VITPOSE_B_SIMPLE = Source(
    "hf://usyd-community/vitpose-base-simple/model.safetensors"
    "@a93ac0c67e0b7e2c55287d21d4c460c8f3c54d45",
    sha256="85375373893ddd3641f3912821073e53f5435f9e966e1dca59d004454bfe4fdf",
    stands_in=_VITPOSE_AUTHORS,
)

# Training sets that several rows share, as the RTMPose and RTMW authors name them.
BODY8 = "Body7: AI Challenger, MS COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18"
BODY8_HALPE26 = BODY8 + ", with the 26 keypoints of Halpe"
AIC_COCO = "AI Challenger and COCO"
FACE6 = "Face6: COCO-WholeBody-Face, WFLW, 300W, COFW, Halpe, LaPa"
HAND5 = "Hand5: COCO-WholeBody-Hand, OneHand10K, FreiHAND, RHD, Halpe"
COCKTAIL14 = "Cocktail14: 14 public sets mapped to the 133 keypoints of COCO-WholeBody"
PERSON_BOXES = "COCO and Objects365, people only"
HAND_BOXES = "hand boxes of several public hand data sets"


def _openmmlab(
    name: str,
    task: str,
    config: str,
    url: str,
    metrics: tuple[tuple[str, str, float], ...],
    training_data: str,
    *,
    aliases: tuple[str, ...] = (),
    older_configs: tuple[str, ...] = (),
    superseded: tuple[str, ...] = (),
    hub: tuple[Source, ...] = (),
) -> Checkpoint:
    """A row whose weights OpenMMLab published, under its licence.

    `hub` has files of Hub repositories that hold them too, or stand in, in another layout.
    """
    return Checkpoint(
        name=name,
        task=task,
        config=config,
        sources=(Source(url), *hub),
        metrics=tuple(Metric(*metric) for metric in metrics),
        license="Apache-2.0",
        training_data=training_data,
        aliases=aliases,
        older_configs=older_configs,
        superseded=superseded,
    )


CHECKPOINTS: tuple[Checkpoint, ...] = (
    _openmmlab(
        "rtmpose-m_ap10k-256x256",
        "animal",
        "rtmpose-m_8xb64-210e_ap10k-256x256",
        V1 + "rtmpose-m_simcc-ap10k_pt-aic-coco_210e-256x256-7a041aa1_20230206.pth",
        (("AP-10K", "AP", 0.722),),
        "AP-10K, pre-trained on AI Challenger and COCO",
        aliases=("animal",),
    ),
    _openmmlab(
        "rtmpose-t_body8-256x192",
        "body",
        "rtmpose-t_8xb256-420e_body8-256x192",
        V1 + "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.pth",
        (("Body8", "AP", 0.659),),
        BODY8,
    ),
    _openmmlab(
        "rtmpose-s_body8-256x192",
        "body",
        "rtmpose-s_8xb256-420e_body8-256x192",
        V1 + "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504.pth",
        (("Body8", "AP", 0.697),),
        BODY8,
    ),
    _openmmlab(
        "rtmpose-m_body8-256x192",
        "body",
        "rtmpose-m_8xb256-420e_body8-256x192",
        V1 + "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.pth",
        (("Body8", "AP", 0.749),),
        BODY8,
        aliases=("human", "body", "body17"),
    ),
    _openmmlab(
        "rtmpose-l_body8-256x192",
        "body",
        "rtmpose-l_8xb256-420e_body8-256x192",
        V1 + "rtmpose-l_simcc-body7_pt-body7_420e-256x192-4dba18fc_20230504.pth",
        (("Body8", "AP", 0.767),),
        BODY8,
    ),
    _openmmlab(
        "rtmpose-m_body8-384x288",
        "body",
        "rtmpose-m_8xb256-420e_body8-384x288",
        V1 + "rtmpose-m_simcc-body7_pt-body7_420e-384x288-65e718c4_20230504.pth",
        (("Body8", "AP", 0.766),),
        BODY8,
    ),
    _openmmlab(
        "rtmpose-l_body8-384x288",
        "body",
        "rtmpose-l_8xb256-420e_body8-384x288",
        V1 + "rtmpose-l_simcc-body7_pt-body7_420e-384x288-3f5a1437_20230504.pth",
        (("Body8", "AP", 0.783),),
        BODY8,
        aliases=("rtmpose-l",),
    ),
    _openmmlab(
        "rtmpose-t_body8-halpe26-256x192",
        "body",
        "rtmpose-t_8xb1024-700e_body8-halpe26-256x192",
        V1 + "rtmpose-t_simcc-body7_pt-body7-halpe26_700e-256x192-6020f8a6_20230605.pth",
        (("Body8", "Mean@0.1", 0.919),),
        BODY8_HALPE26,
    ),
    _openmmlab(
        "rtmpose-s_body8-halpe26-256x192",
        "body",
        "rtmpose-s_8xb1024-700e_body8-halpe26-256x192",
        V1 + "rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605.pth",
        (("Body8", "Mean@0.1", 0.93),),
        BODY8_HALPE26,
    ),
    _openmmlab(
        "rtmpose-m_body8-halpe26-256x192",
        "body",
        "rtmpose-m_8xb512-700e_body8-halpe26-256x192",
        V1 + "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605.pth",
        (("Body8", "Mean@0.1", 0.947),),
        BODY8_HALPE26,
        aliases=("body26",),
    ),
    _openmmlab(
        "rtmpose-l_body8-halpe26-256x192",
        "body",
        "rtmpose-l_8xb512-700e_body8-halpe26-256x192",
        V1 + "rtmpose-l_simcc-body7_pt-body7-halpe26_700e-256x192-2abb7558_20230605.pth",
        (("Body8", "Mean@0.1", 0.954),),
        BODY8_HALPE26,
    ),
    _openmmlab(
        "rtmpose-m_body8-halpe26-384x288",
        "body",
        "rtmpose-m_8xb512-700e_body8-halpe26-384x288",
        V1 + "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-384x288-89e6428b_20230605.pth",
        (("Body8", "Mean@0.1", 0.952),),
        BODY8_HALPE26,
    ),
    _openmmlab(
        "rtmpose-l_body8-halpe26-384x288",
        "body",
        "rtmpose-l_8xb512-700e_body8-halpe26-384x288",
        V1 + "rtmpose-l_simcc-body7_pt-body7-halpe26_700e-384x288-734182ce_20230605.pth",
        (("Body8", "Mean@0.1", 0.956),),
        BODY8_HALPE26,
    ),
    _openmmlab(
        "rtmpose-x_body8-halpe26-384x288",
        "body",
        "rtmpose-x_8xb256-700e_body8-halpe26-384x288",
        V1 + "rtmpose-x_simcc-body7_pt-body7-halpe26_700e-384x288-7fb6e239_20230606.pth",
        (("Body8", "Mean@0.1", 0.957),),
        BODY8_HALPE26,
    ),
    _openmmlab(
        "rtmpose-t_coco-256x192",
        "body",
        "rtmpose-t_8xb256-420e_coco-256x192",
        V1 + "rtmpose-tiny_simcc-coco_pt-aic-coco_420e-256x192-e613ba3f_20230127.pth",
        (("COCO", "AP", 0.682),),
        "COCO, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-s_coco-256x192",
        "body",
        "rtmpose-s_8xb256-420e_coco-256x192",
        V1 + "rtmpose-s_simcc-coco_pt-aic-coco_420e-256x192-8edcf0d7_20230127.pth",
        (("COCO", "AP", 0.716),),
        "COCO, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-m_coco-256x192",
        "body",
        "rtmpose-m_8xb256-420e_coco-256x192",
        V1 + "rtmpose-m_simcc-coco_pt-aic-coco_420e-256x192-d8dd5ca4_20230127.pth",
        (("COCO", "AP", 0.746),),
        "COCO, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-l_coco-256x192",
        "body",
        "rtmpose-l_8xb256-420e_coco-256x192",
        V1 + "rtmpose-l_simcc-coco_pt-aic-coco_420e-256x192-1352a4d2_20230127.pth",
        (("COCO", "AP", 0.758),),
        "COCO, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-t_aic-coco-256x192",
        "body",
        "rtmpose-t_8xb256-420e_aic-coco-256x192",
        V1 + "rtmpose-tiny_simcc-aic-coco_pt-aic-coco_420e-256x192-cfc8f33d_20230126.pth",
        (("COCO", "AP", 0.685),),
        AIC_COCO,
    ),
    _openmmlab(
        "rtmpose-s_aic-coco-256x192",
        "body",
        "rtmpose-s_8xb256-420e_aic-coco-256x192",
        V1 + "rtmpose-s_simcc-aic-coco_pt-aic-coco_420e-256x192-fcb2599b_20230126.pth",
        (("COCO", "AP", 0.722),),
        AIC_COCO,
    ),
    _openmmlab(
        "rtmpose-m_aic-coco-256x192",
        "body",
        "rtmpose-m_8xb256-420e_aic-coco-256x192",
        V1 + "rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth",
        (("COCO", "AP", 0.758),),
        AIC_COCO,
        hub=(Source(ONNX_EXPORTS + "rtmpose_m_simcc_aic_coco_256x192.onnx"),),
    ),
    _openmmlab(
        "rtmpose-l_aic-coco-256x192",
        "body",
        "rtmpose-l_8xb256-420e_aic-coco-256x192",
        V1 + "rtmpose-l_simcc-aic-coco_pt-aic-coco_420e-256x192-f016ffe0_20230126.pth",
        (("COCO", "AP", 0.765),),
        AIC_COCO,
        hub=(Source(ONNX_EXPORTS + "rtmpose_l_simcc_aic_coco_256x192.onnx"),),
    ),
    _openmmlab(
        "rtmpose-m_aic-coco-384x288",
        "body",
        "rtmpose-m_8xb256-420e_aic-coco-384x288",
        V1 + "rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-384x288-a62a0b32_20230228.pth",
        (("COCO", "AP", 0.77),),
        AIC_COCO,
    ),
    _openmmlab(
        "rtmpose-l_aic-coco-384x288",
        "body",
        "rtmpose-l_8xb256-420e_aic-coco-384x288",
        V1 + "rtmpose-l_simcc-aic-coco_pt-aic-coco_420e-384x288-97d6cb0f_20230228.pth",
        (("COCO", "AP", 0.773),),
        AIC_COCO,
    ),
    _openmmlab(
        "rtmpose-m_crowdpose-256x192",
        "body",
        "rtmpose-m_8xb64-210e_crowdpose-256x192",
        V1 + "rtmpose-m_simcc-crowdpose_pt-aic-coco_210e-256x192-e6192cac_20230224.pth",
        (("CrowdPose", "AP", 0.706),),
        "CrowdPose, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-l_humanart-256x192",
        "body",
        "rtmpose-l_8xb256-420e_humanart-256x192",
        V1 + "rtmpose-l_8xb256-420e_humanart-256x192-389f2cb0_20230611.pth",
        (("COCO", "AP", 0.748), ("Human-Art", "AP", 0.378), ("Human-Art(GT)", "AP", 0.753)),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "rtmpose-m_humanart-256x192",
        "body",
        "rtmpose-m_8xb256-420e_humanart-256x192",
        V1 + "rtmpose-m_8xb256-420e_humanart-256x192-8430627b_20230611.pth",
        (("COCO", "AP", 0.725), ("Human-Art", "AP", 0.355), ("Human-Art(GT)", "AP", 0.728)),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "rtmpose-s_humanart-256x192",
        "body",
        "rtmpose-s_8xb256-420e_humanart-256x192",
        V1 + "rtmpose-s_8xb256-420e_humanart-256x192-5a3ac943_20230611.pth",
        (("COCO", "AP", 0.706), ("Human-Art", "AP", 0.311), ("Human-Art(GT)", "AP", 0.698)),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "rtmpose-t_humanart-256x192",
        "body",
        "rtmpose-t_8xb256-420e_humanart-256x192",
        V1 + "rtmpose-t_8xb256-420e_humanart-256x192-60b68c98_20230612.pth",
        (("COCO", "AP", 0.665), ("Human-Art", "AP", 0.249), ("Human-Art(GT)", "AP", 0.655)),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "rtmpose-m_mpii-256x256",
        "body",
        "rtmpose-m_8xb64-210e_mpii-256x256",
        V1 + "rtmpose-m_simcc-mpii_pt-aic-coco_210e-256x256-ec4dbec8_20230206.pth",
        (("MPII", "Mean@0.1", 0.348),),
        "MPII, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-m_coco-wholebody-face-256x256",
        "face",
        "rtmpose-m_8xb32-60e_coco-wholebody-face-256x256",
        V1 + "rtmpose-m_simcc-coco-wholebody-face_pt-aic-coco_60e-256x256-62026ef2_20230228.pth",
        (("COCO-WholeBody-Face", "NME", 0.0466),),
        "COCO-WholeBody face, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-t_face6-256x256",
        "face",
        "rtmpose-t_8xb256-120e_face6-256x256",
        V1 + "rtmpose-t_simcc-face6_pt-in1k_120e-256x256-df79d9a5_20230529.pth",
        (("Face6", "NME", 1.67),),
        FACE6,
    ),
    _openmmlab(
        "rtmpose-s_face6-256x256",
        "face",
        "rtmpose-s_8xb256-120e_face6-256x256",
        V1 + "rtmpose-s_simcc-face6_pt-in1k_120e-256x256-d779fdef_20230529.pth",
        (("Face6", "NME", 1.59),),
        FACE6,
    ),
    _openmmlab(
        "rtmpose-m_face6-256x256",
        "face",
        "rtmpose-m_8xb256-120e_face6-256x256",
        V1 + "rtmpose-m_simcc-face6_pt-in1k_120e-256x256-72a37400_20230529.pth",
        (("Face6", "NME", 1.44),),
        FACE6,
        aliases=("face",),
    ),
    _openmmlab(
        "rtmpose-m_lapa-256x256",
        "face",
        "rtmpose-m_8xb64-120e_lapa-256x256",
        V1 + "rtmpose-m_simcc-lapa_pt-aic-coco_120e-256x256-762b1ae2_20230422.pth",
        (("WFLW", "NME", 1.29),),
        "LaPa, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-m_wflw-256x256",
        "face",
        "rtmpose-m_8xb64-60e_wflw-256x256",
        V1 + "rtmpose-m_simcc-wflw_pt-aic-coco_60e-256x256-dc1dcdcf_20230228.pth",
        (("WFLW", "NME", 4.01),),
        "WFLW, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-m_coco-wholebody-hand-256x256",
        "hand",
        "rtmpose-m_8xb32-210e_coco-wholebody-hand-256x256",
        V1 + "rtmpose-m_simcc-coco-wholebody-hand_pt-aic-coco_210e-256x256-99477206_20230228.pth",
        (("COCO-WholeBody-Hand", "PCK@0.2", 0.837),),
        "COCO-WholeBody hand, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-m_hand5-256x256",
        "hand",
        "rtmpose-m_8xb256-210e_hand5-256x256",
        V1 + "rtmpose-m_simcc-hand5_pt-aic-coco_210e-256x256-74fb594_20230320.pth",
        (("Hand5", "PCK@0.2", 0.964),),
        HAND5,
        aliases=("hand",),
    ),
    _openmmlab(
        "rtmpose-m_coco-wholebody-256x192",
        "wholebody",
        "rtmpose-m_8xb64-270e_coco-wholebody-256x192",
        V1 + "rtmpose-m_simcc-coco-wholebody_pt-aic-coco_270e-256x192-cd5e845c_20230123.pth",
        (("COCO-WholeBody", "Whole AP", 0.582),),
        "COCO-WholeBody, pre-trained on AI Challenger and COCO",
        aliases=("wholebody",),
    ),
    _openmmlab(
        "rtmpose-l_coco-wholebody-256x192",
        "wholebody",
        "rtmpose-l_8xb64-270e_coco-wholebody-256x192",
        V1 + "rtmpose-l_simcc-coco-wholebody_pt-aic-coco_270e-256x192-6f206314_20230124.pth",
        (("COCO-WholeBody", "Whole AP", 0.611),),
        "COCO-WholeBody, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmpose-l_coco-wholebody-384x288",
        "wholebody",
        "rtmpose-l_8xb32-270e_coco-wholebody-384x288",
        V1 + "rtmpose-l_simcc-coco-wholebody_pt-aic-coco_270e-384x288-eaeb96c8_20230125.pth",
        (("COCO-WholeBody", "Whole AP", 0.648),),
        "COCO-WholeBody, pre-trained on AI Challenger and COCO",
    ),
    _openmmlab(
        "rtmw-m_cocktail14-256x192",
        "wholebody",
        "rtmw-m_8xb1024-270e_cocktail14-256x192",
        RTMW + "rtmw-dw-l-m_simcc-cocktail14_270e-256x192-20231122.pth",
        (("COCO-WholeBody", "Whole AP", 0.582),),
        COCKTAIL14,
        aliases=("rtmw",),
        hub=(Source(ONNX_EXPORTS + "rtmw_m_simcc_cocktail14_256x192.onnx"),),
    ),
    _openmmlab(
        "rtmw-l_cocktail14-256x192",
        "wholebody",
        "rtmw-l_8xb1024-270e_cocktail14-256x192",
        RTMW + "rtmw-dw-x-l_simcc-cocktail14_270e-256x192-20231122.pth",
        (("COCO-WholeBody", "Whole AP", 0.66),),
        COCKTAIL14,
        hub=(Source(ONNX_EXPORTS + "rtmw_l_simcc_cocktail14_256x192.onnx"),),
    ),
    _openmmlab(
        "rtmw-x_cocktail14-256x192",
        "wholebody",
        "rtmw-x_8xb704-270e_cocktail14-256x192",
        RTMW + "rtmw-x_simcc-cocktail14_pt-ucoco_270e-256x192-13a2546d_20231208.pth",
        (("COCO-WholeBody", "Whole AP", 0.672),),
        COCKTAIL14,
    ),
    _openmmlab(
        "rtmw-l_cocktail14-384x288",
        "wholebody",
        "rtmw-l_8xb320-270e_cocktail14-384x288",
        RTMW + "rtmw-dw-x-l_simcc-cocktail14_270e-384x288-20231122.pth",
        (("COCO-WholeBody", "Whole AP", 0.701),),
        COCKTAIL14,
    ),
    _openmmlab(
        "rtmw-x_cocktail14-384x288",
        "wholebody",
        "rtmw-x_8xb320-270e_cocktail14-384x288",
        RTMW + "rtmw-x_simcc-cocktail14_pt-ucoco_270e-384x288-f840f204_20231122.pth",
        (("COCO-WholeBody", "Whole AP", 0.702),),
        COCKTAIL14,
    ),
    _openmmlab(
        "hrnet-w32_ap10k-256x256",
        "animal",
        "td-hm_hrnet-w32_8xb64-210e_ap10k-256x256",
        MMPOSE + "animal/hrnet/hrnet_w32_ap10k_256x256-18aac840_20211029.pth",
        (("AP-10K", "AP", 0.722),),
        "AP-10K",
    ),
    _openmmlab(
        "hrnet-w48_ap10k-256x256",
        "animal",
        "td-hm_hrnet-w48_8xb64-210e_ap10k-256x256",
        MMPOSE + "animal/hrnet/hrnet_w48_ap10k_256x256-d95ab412_20211029.pth",
        (("AP-10K", "AP", 0.728),),
        "AP-10K",
    ),
    _openmmlab(
        "hrnet-w32-coarsedropout_coco-256x192",
        "body",
        "td-hm_hrnet-w32_coarsedropout-8xb64-210e_coco-256x192",
        TOP_DOWN + "augmentation/hrnet_w32_coco_256x192_coarsedropout-0f16a0ce_20210320.pth",
        (("COCO", "AP", 0.753),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32-gridmask_coco-256x192",
        "body",
        "td-hm_hrnet-w32_gridmask-8xb64-210e_coco-256x192",
        TOP_DOWN + "augmentation/hrnet_w32_coco_256x192_gridmask-868180df_20210320.pth",
        (("COCO", "AP", 0.752),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32-photometric_coco-256x192",
        "body",
        "td-hm_hrnet-w32_photometric-8xb64-210e_coco-256x192",
        TOP_DOWN + "augmentation/hrnet_w32_coco_256x192_photometric-308cf591_20210320.pth",
        (("COCO", "AP", 0.754),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32_coco-256x192",
        "body",
        "td-hm_hrnet-w32_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth",
        (("COCO", "AP", 0.746),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32_coco-384x288",
        "body",
        "td-hm_hrnet-w32_8xb64-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_hrnet-w32_8xb64-210e_coco-384x288-ca5956af_20220909.pth",
        (("COCO", "AP", 0.76),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w48_coco-256x192",
        "body",
        "td-hm_hrnet-w48_8xb32-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w48_8xb32-210e_coco-256x192-0e67c616_20220913.pth",
        (("COCO", "AP", 0.756),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w48_coco-384x288",
        "body",
        "td-hm_hrnet-w48_8xb32-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915.pth",
        (("COCO", "AP", 0.767),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32_coco-aic-merge-256x192",
        "body",
        "td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-merge",
        TOPDOWN_COCO + "td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-merge-a9ea6d77_20230818.pth",
        (("COCO", "AP", 0.756),),
        "COCO and AI Challenger, its shared keypoints merged into COCO's",
        superseded=("td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-merge-b05435b9_20221025.pth",),
    ),
    _openmmlab(
        "hrnet-w32_coco-aic-combine-256x192",
        "body",
        "td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine",
        TOPDOWN_COCO + "td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine-458125cc_20230818.pth",
        (("COCO", "AP", 0.755),),
        "COCO and AI Challenger, with its head top and neck",
        superseded=("td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine-4ce66880_20221026.pth",),
    ),
    _openmmlab(
        "hrnet-w32-fp16_coco-256x192",
        "body",
        "td-hm_hrnet-w32_fp16-8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w32_fp16-8xb64-210e_coco-256x192-f1e84e3b_20220914.pth",
        (("COCO", "AP", 0.749),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32-dark_coco-256x192",
        "body",
        "td-hm_hrnet-w32_dark-8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w32_dark-8xb64-210e_coco-256x192-0e00bf12_20220914.pth",
        (("COCO", "AP", 0.757),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32-dark_coco-384x288",
        "body",
        "td-hm_hrnet-w32_dark-8xb64-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_hrnet-w32_dark-8xb64-210e_coco-384x288-9bab4c9b_20220917.pth",
        (("COCO", "AP", 0.766),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w48-dark_coco-256x192",
        "body",
        "td-hm_hrnet-w48_dark-8xb32-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w48_dark-8xb32-210e_coco-256x192-e1ebdd6f_20220913.pth",
        (("COCO", "AP", 0.764),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w48-dark_coco-384x288",
        "body",
        "td-hm_hrnet-w48_dark-8xb32-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_hrnet-w48_dark-8xb32-210e_coco-384x288-39c3c381_20220916.pth",
        (("COCO", "AP", 0.772),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32-udp_coco-256x192",
        "body",
        "td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192-73ede547_20220914.pth",
        (("COCO", "AP", 0.762),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32-udp_coco-384x288",
        "body",
        "td-hm_hrnet-w32_udp-8xb64-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_hrnet-w32_udp-8xb64-210e_coco-384x288-9a3f7c85_20220914.pth",
        (("COCO", "AP", 0.768),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w48-udp_coco-256x192",
        "body",
        "td-hm_hrnet-w48_udp-8xb32-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w48_udp-8xb32-210e_coco-256x192-3feaef8f_20220913.pth",
        (("COCO", "AP", 0.768),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w48-udp_coco-384x288",
        "body",
        "td-hm_hrnet-w48_udp-8xb32-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_hrnet-w48_udp-8xb32-210e_coco-384x288-70d7ab01_20220913.pth",
        (("COCO", "AP", 0.773),),
        "COCO",
    ),
    _openmmlab(
        "hrnet-w32-udp-regress_coco-256x192",
        "body",
        "td-hm_hrnet-w32_udp-regress-8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_hrnet-w32_udp-regress-8xb64-210e_coco-256x192-9c0b77b4_20220926.pth",
        (("COCO", "AP", 0.759),),
        "COCO",
    ),
    _openmmlab(
        "resnet-50_coco-256x192",
        "body",
        "td-hm_res50_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923.pth",
        (("COCO", "AP", 0.718),),
        "COCO",
    ),
    _openmmlab(
        "resnet-50_coco-384x288",
        "body",
        "td-hm_res50_8xb64-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_res50_8xb64-210e_coco-384x288-7b8db90e_20220923.pth",
        (("COCO", "AP", 0.731),),
        "COCO",
    ),
    _openmmlab(
        "resnet-101_coco-256x192",
        "body",
        "td-hm_res101_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_res101_8xb64-210e_coco-256x192-065d3625_20220926.pth",
        (("COCO", "AP", 0.728),),
        "COCO",
    ),
    _openmmlab(
        "resnet-101_coco-384x288",
        "body",
        "td-hm_res101_8xb32-210e_coco-384x288",
        # The official table names the 256x192 file; this one is of MMPose 0.x.
        TOP_DOWN + "resnet/res101_coco_384x288-8c71bdc9_20200709.pth",
        (("COCO", "AP", 0.748),),
        "COCO",
        superseded=("td-hm_res101_8xb64-210e_coco-256x192-065d3625_20220926.pth",),
    ),
    _openmmlab(
        "resnet-152_coco-256x192",
        "body",
        "td-hm_res152_8xb32-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_res152_8xb32-210e_coco-256x192-0345f330_20220928.pth",
        (("COCO", "AP", 0.736),),
        "COCO",
    ),
    _openmmlab(
        "resnet-152_coco-384x288",
        "body",
        "td-hm_res152_8xb32-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_res152_8xb32-210e_coco-384x288-7fbb906f_20220927.pth",
        (("COCO", "AP", 0.75),),
        "COCO",
    ),
    _openmmlab(
        "resnet-50-fp16_coco-256x192",
        "body",
        "td-hm_res50_fp16-8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_res50_fp16-8xb64-210e_coco-256x192-463da051_20220927.pth",
        (("COCO", "AP", 0.716),),
        "COCO",
    ),
    _openmmlab(
        "resnet-50-dark_coco-256x192",
        "body",
        "td-hm_res50_dark-8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_res50_dark-8xb64-210e_coco-256x192-c129dcb6_20220926.pth",
        (("COCO", "AP", 0.724),),
        "COCO",
    ),
    _openmmlab(
        "resnet-50-dark_coco-384x288",
        "body",
        "td-hm_res50_dark-8xb64-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_res50_dark-8xb64-210e_coco-384x288-8b90b538_20220926.pth",
        (("COCO", "AP", 0.735),),
        "COCO",
    ),
    _openmmlab(
        "resnet-101-dark_coco-256x192",
        "body",
        "td-hm_res101_dark-8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_res101_dark-8xb64-210e_coco-256x192-528ec248_20220926.pth",
        (("COCO", "AP", 0.733),),
        "COCO",
    ),
    _openmmlab(
        "resnet-101-dark_coco-384x288",
        "body",
        "td-hm_res101_dark-8xb64-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_res101_dark-8xb64-210e_coco-384x288-487d40a4_20220926.pth",
        (("COCO", "AP", 0.749),),
        "COCO",
    ),
    _openmmlab(
        "resnet-152-dark_coco-256x192",
        "body",
        "td-hm_res152_dark-8xb32-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_res152_dark-8xb32-210e_coco-256x192-f754df5f_20221031.pth",
        (("COCO", "AP", 0.743),),
        "COCO",
    ),
    _openmmlab(
        "resnet-152-dark_coco-384x288",
        "body",
        "td-hm_res152_dark-8xb32-210e_coco-384x288",
        TOPDOWN_COCO + "td-hm_res152_dark-8xb32-210e_coco-384x288-329f8454_20221031.pth",
        (("COCO", "AP", 0.757),),
        "COCO",
    ),
    _openmmlab(
        "vitpose-s_coco-256x192",
        "body",
        "td-hm_ViTPose-small_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-small_8xb64-210e_coco-256x192-62d7a712_20230314.pth",
        (("COCO", "AP", 0.739),),
        "COCO",
    ),
    _openmmlab(
        "vitpose-b_coco-256x192",
        "body",
        "td-hm_ViTPose-base_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-base_8xb64-210e_coco-256x192-216eae50_20230314.pth",
        (("COCO", "AP", 0.757),),
        "COCO",
        hub=(VITPOSE_B,),
    ),
    _openmmlab(
        "vitpose-l_coco-256x192",
        "body",
        "td-hm_ViTPose-large_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-large_8xb64-210e_coco-256x192-53609f55_20230314.pth",
        (("COCO", "AP", 0.782),),
        "COCO",
    ),
    _openmmlab(
        "vitpose-h_coco-256x192",
        "body",
        "td-hm_ViTPose-huge_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-huge_8xb64-210e_coco-256x192-e32adcd4_20230314.pth",
        (("COCO", "AP", 0.788),),
        "COCO",
    ),
    _openmmlab(
        "vitpose-s-simple_coco-256x192",
        "body",
        "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192-4c101a76_20230314.pth",
        (("COCO", "AP", 0.736),),
        "COCO",
        aliases=("vitpose-s",),
    ),
    _openmmlab(
        "vitpose-b-simple_coco-256x192",
        "body",
        "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192-0b8234ea_20230407.pth",
        (("COCO", "AP", 0.756),),
        "COCO",
        aliases=(
            "vitpose",
            "vitpose-b",
        ),
        hub=(VITPOSE_B_SIMPLE,),
    ),
    _openmmlab(
        "vitpose-l-simple_coco-256x192",
        "body",
        "td-hm_ViTPose-large-simple_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-large-simple_8xb64-210e_coco-256x192-3a7ee9e1_20230314.pth",
        (("COCO", "AP", 0.78),),
        "COCO",
        aliases=("vitpose-l",),
    ),
    _openmmlab(
        "vitpose-h-simple_coco-256x192",
        "body",
        "td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192",
        TOPDOWN_COCO + "td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192-ffd48c05_20230314.pth",
        (("COCO", "AP", 0.789),),
        "COCO",
        aliases=("vitpose-h",),
    ),
    _openmmlab(
        "hrnet-w32_crowdpose-256x192",
        "body",
        "td-hm_hrnet-w32_8xb64-210e_crowdpose-256x192",
        TOP_DOWN + "hrnet/hrnet_w32_crowdpose_256x192-960be101_20201227.pth",
        (("CrowdPose", "AP", 0.675),),
        "CrowdPose",
    ),
    _openmmlab(
        "hrnet-w32_humanart-256x192",
        "body",
        "td-hm_hrnet-w32_8xb64-210e_humanart-256x192",
        V1_BASE
        + "body_2d_keypoint/topdown_heatmap/human_art/td-hm_hrnet-w32_8xb64-210e_humanart-256x192-0773ef0b_20230614.pth",
        (
            ("COCO", "AP", 0.741),
            ("Human-Art", "AP", 0.399),
            ("Human-Art(GT)", "AP", 0.754),
        ),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "hrnet-w48_humanart-256x192",
        "body",
        "td-hm_hrnet-w48_8xb32-210e_humanart-256x192",
        V1_BASE
        + "body_2d_keypoint/topdown_heatmap/human_art/td-hm_hrnet-w48_8xb32-210e_humanart-256x192-05178983_20230614.pth",
        (
            ("COCO", "AP", 0.751),
            ("Human-Art", "AP", 0.417),
            ("Human-Art(GT)", "AP", 0.769),
        ),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "vitpose-s_humanart-256x192",
        "body",
        "td-hm_ViTPose-small_8xb64-210e_humanart-256x192",
        V1_BASE
        + "body_2d_keypoint/topdown_heatmap/human_art/td-hm_ViTPose-small_8xb64-210e_humanart-256x192-5cbe2bfc_20230611.pth",
        (
            ("COCO", "AP", 0.737),
            ("Human-Art", "AP", 0.381),
            ("Human-Art(GT)", "AP", 0.738),
        ),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "vitpose-b_humanart-256x192",
        "body",
        "td-hm_ViTPose-base_8xb64-210e_humanart-256x192",
        V1_BASE
        + "body_2d_keypoint/topdown_heatmap/human_art/td-hm_ViTPose-base_8xb64-210e_humanart-256x192-b417f546_20230611.pth",
        (
            ("COCO", "AP", 0.758),
            ("Human-Art", "AP", 0.41),
            ("Human-Art(GT)", "AP", 0.759),
        ),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "vitpose-l_humanart-256x192",
        "body",
        "td-hm_ViTPose-large_8xb64-210e_humanart-256x192",
        V1_BASE
        + "body_2d_keypoint/topdown_heatmap/human_art/td-hm_ViTPose-large_8xb64-210e_humanart-256x192-9aba9345_20230614.pth",
        (
            ("COCO", "AP", 0.782),
            ("Human-Art", "AP", 0.459),
            ("Human-Art(GT)", "AP", 0.789),
        ),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "vitpose-h_humanart-256x192",
        "body",
        "td-hm_ViTPose-huge_8xb64-210e_humanart-256x192",
        V1_BASE
        + "body_2d_keypoint/topdown_heatmap/human_art/td-hm_ViTPose-huge_8xb64-210e_humanart-256x192-603bb573_20230612.pth",
        (
            ("COCO", "AP", 0.788),
            ("Human-Art", "AP", 0.468),
            ("Human-Art(GT)", "AP", 0.8),
        ),
        "Human-Art and COCO",
    ),
    _openmmlab(
        "hrnet-w32-dark_mpii-256x256",
        "body",
        "td-hm_hrnet-w32_dark-8xb64-210e_mpii-256x256",
        TOP_DOWN + "hrnet/hrnet_w32_mpii_256x256_dark-f1601c5b_20200927.pth",
        (("MPII", "Mean@0.1", 0.354),),
        "MPII",
    ),
    _openmmlab(
        "hrnet-w48-dark_mpii-256x256",
        "body",
        "td-hm_hrnet-w48_dark-8xb64-210e_mpii-256x256",
        TOP_DOWN + "hrnet/hrnet_w48_mpii_256x256_dark-0decd39f_20200927.pth",
        (("MPII", "Mean@0.1", 0.36),),
        "MPII",
    ),
    _openmmlab(
        "hrnet-w32_mpii-256x256",
        "body",
        "td-hm_hrnet-w32_8xb64-210e_mpii-256x256",
        TOP_DOWN + "hrnet/hrnet_w32_mpii_256x256-6c4f923f_20200812.pth",
        (("MPII", "Mean@0.1", 0.334),),
        "MPII",
    ),
    _openmmlab(
        "hrnet-w48_mpii-256x256",
        "body",
        "td-hm_hrnet-w48_8xb64-210e_mpii-256x256",
        TOP_DOWN + "hrnet/hrnet_w48_mpii_256x256-92cab7bd_20200812.pth",
        (("MPII", "Mean@0.1", 0.337),),
        "MPII",
    ),
    _openmmlab(
        "hrnetv2-w18_300w-256x256",
        "face",
        "td-hm_hrnetv2-w18_8xb64-60e_300w-256x256",
        MMPOSE + "face/hrnetv2/hrnetv2_w18_300w_256x256-eea53406_20211019.pth",
        (("300W", "NME full", 3.45),),
        "300W",
    ),
    _openmmlab(
        "hrnetv2-w18_aflw-256x256",
        "face",
        "td-hm_hrnetv2-w18_8xb64-60e_aflw-256x256",
        MMPOSE + "face/hrnetv2/hrnetv2_w18_aflw_256x256-f2bbc62b_20210125.pth",
        (("AFLW", "NME full", 1.41),),
        "AFLW",
    ),
    _openmmlab(
        "hrnetv2-w18-dark_aflw-256x256",
        "face",
        "td-hm_hrnetv2-w18_dark-8xb64-60e_aflw-256x256",
        MMPOSE + "face/darkpose/hrnetv2_w18_aflw_256x256_dark-219606c0_20210125.pth",
        (("AFLW", "NME full", 1.34),),
        "AFLW",
    ),
    _openmmlab(
        "hrnetv2-w18_coco-wholebody-face-256x256",
        "face",
        "td-hm_hrnetv2-w18_8xb32-60e_coco-wholebody-face-256x256",
        MMPOSE + "face/hrnetv2/hrnetv2_w18_coco_wholebody_face_256x256-c1ca469b_20210909.pth",
        (("COCO-WholeBody-Face", "NME", 0.0569),),
        "COCO-WholeBody face",
    ),
    _openmmlab(
        "hrnetv2-w18-dark_coco-wholebody-face-256x256",
        "face",
        "td-hm_hrnetv2-w18_dark-8xb32-60e_coco-wholebody-face-256x256",
        MMPOSE + "face/darkpose/hrnetv2_w18_coco_wholebody_face_256x256_dark-3d9a334e_20210909.pth",
        (("COCO-WholeBody-Face", "NME", 0.0513),),
        "COCO-WholeBody face",
    ),
    _openmmlab(
        "hrnetv2-w18_cofw-256x256",
        "face",
        "td-hm_hrnetv2-w18_8xb64-60e_cofw-256x256",
        MMPOSE + "face/hrnetv2/hrnetv2_w18_cofw_256x256-49243ab8_20211019.pth",
        (("COFW", "NME", 3.48),),
        "COFW",
    ),
    _openmmlab(
        "hrnetv2-w18-awing_wflw-256x256",
        "face",
        "td-hm_hrnetv2-w18_awing-8xb64-60e_wflw-256x256",
        MMPOSE + "face/hrnetv2/hrnetv2_w18_wflw_256x256_awing-5af5055c_20211212.pth",
        (("WFLW", "NME test", 4.02),),
        "WFLW",
    ),
    _openmmlab(
        "hrnetv2-w18-dark_wflw-256x256",
        "face",
        "td-hm_hrnetv2-w18_dark-8xb64-60e_wflw-256x256",
        MMPOSE + "face/darkpose/hrnetv2_w18_wflw_256x256_dark-3f8e0c2c_20210125.pth",
        (("WFLW", "NME test", 3.98),),
        "WFLW",
    ),
    _openmmlab(
        "hrnetv2-w18_wflw-256x256",
        "face",
        "td-hm_hrnetv2-w18_8xb64-60e_wflw-256x256",
        MMPOSE + "face/hrnetv2/hrnetv2_w18_wflw_256x256-2bf032a6_20210125.pth",
        (("WFLW", "NME test", 4.06),),
        "WFLW",
    ),
    _openmmlab(
        "hrnetv2-w18_coco-wholebody-hand-256x256",
        "hand",
        "td-hm_hrnetv2-w18_8xb32-210e_coco-wholebody-hand-256x256",
        MMPOSE + "hand/hrnetv2/hrnetv2_w18_coco_wholebody_hand_256x256-1c028db7_20210908.pth",
        (("COCO-WholeBody-Hand", "PCK@0.2", 0.813),),
        "COCO-WholeBody hand",
    ),
    _openmmlab(
        "hrnetv2-w18-dark_coco-wholebody-hand-256x256",
        "hand",
        "td-hm_hrnetv2-w18_dark-8xb32-210e_coco-wholebody-hand-256x256",
        MMPOSE + "hand/dark/hrnetv2_w18_coco_wholebody_hand_256x256_dark-a9228c9c_20210908.pth",
        (("COCO-WholeBody-Hand", "PCK@0.2", 0.814),),
        "COCO-WholeBody hand",
    ),
    _openmmlab(
        "hrnetv2-w18-dark_onehand10k-256x256",
        "hand",
        "td-hm_hrnetv2-w18_dark-8xb64-210e_onehand10k-256x256",
        MMPOSE + "hand/dark/hrnetv2_w18_onehand10k_256x256_dark-a2f80c64_20210330.pth",
        (("OneHand10K", "PCK@0.2", 0.99),),
        "OneHand10K",
    ),
    _openmmlab(
        "hrnetv2-w18_onehand10k-256x256",
        "hand",
        "td-hm_hrnetv2-w18_8xb64-210e_onehand10k-256x256",
        MMPOSE + "hand/hrnetv2/hrnetv2_w18_onehand10k_256x256-30bc9c6b_20210330.pth",
        (("OneHand10K", "PCK@0.2", 0.99),),
        "OneHand10K",
    ),
    _openmmlab(
        "hrnetv2-w18-udp_onehand10k-256x256",
        "hand",
        "td-hm_hrnetv2-w18_udp-8xb64-210e_onehand10k-256x256",
        MMPOSE + "hand/udp/hrnetv2_w18_onehand10k_256x256_udp-0d1b515d_20210330.pth",
        (("OneHand10K", "PCK@0.2", 0.99),),
        "OneHand10K",
    ),
    _openmmlab(
        "hrnetv2-w18-dark_rhd2d-256x256",
        "hand",
        "td-hm_hrnetv2-w18_dark-8xb64-210e_rhd2d-256x256",
        MMPOSE + "hand/dark/hrnetv2_w18_rhd2d_256x256_dark-4df3a347_20210330.pth",
        (("RHD", "PCK@0.2", 0.992),),
        "RHD",
    ),
    _openmmlab(
        "hrnetv2-w18_rhd2d-256x256",
        "hand",
        "td-hm_hrnetv2-w18_8xb64-210e_rhd2d-256x256",
        MMPOSE + "hand/hrnetv2/hrnetv2_w18_rhd2d_256x256-95b20dd8_20210330.pth",
        (("RHD", "PCK@0.2", 0.992),),
        "RHD",
    ),
    _openmmlab(
        "hrnetv2-w18-udp_rhd2d-256x256",
        "hand",
        "td-hm_hrnetv2-w18_udp-8xb64-210e_rhd2d-256x256",
        MMPOSE + "hand/udp/hrnetv2_w18_rhd2d_256x256_udp-63ba6007_20210330.pth",
        (("RHD", "AUC", 0.902),),
        "RHD",
    ),
    _openmmlab(
        "hrnet-w32_coco-wholebody-256x192",
        "wholebody",
        "td-hm_hrnet-w32_8xb64-210e_coco-wholebody-256x192",
        TOP_DOWN + "hrnet/hrnet_w32_coco_wholebody_256x192-853765cd_20200918.pth",
        (("COCO-WholeBody", "Whole AP", 0.536),),
        "COCO-WholeBody",
    ),
    _openmmlab(
        "hrnet-w32_coco-wholebody-384x288",
        "wholebody",
        "td-hm_hrnet-w32_8xb64-210e_coco-wholebody-384x288",
        TOP_DOWN + "hrnet/hrnet_w32_coco_wholebody_384x288-78cacac3_20200922.pth",
        (("COCO-WholeBody", "Whole AP", 0.586),),
        "COCO-WholeBody",
    ),
    _openmmlab(
        "hrnet-w48_coco-wholebody-256x192",
        "wholebody",
        "td-hm_hrnet-w48_8xb32-210e_coco-wholebody-256x192",
        TOP_DOWN + "hrnet/hrnet_w48_coco_wholebody_256x192-643e18cb_20200922.pth",
        (("COCO-WholeBody", "Whole AP", 0.579),),
        "COCO-WholeBody",
    ),
    _openmmlab(
        "hrnet-w48_coco-wholebody-384x288",
        "wholebody",
        "td-hm_hrnet-w48_8xb32-210e_coco-wholebody-384x288",
        TOP_DOWN + "hrnet/hrnet_w48_coco_wholebody_384x288-6e061c6a_20200922.pth",
        (("COCO-WholeBody", "Whole AP", 0.632),),
        "COCO-WholeBody",
    ),
    _openmmlab(
        "hrnet-w32-dark_coco-wholebody-256x192",
        "wholebody",
        "td-hm_hrnet-w32_dark-8xb64-210e_coco-wholebody-256x192",
        TOP_DOWN + "hrnet/hrnet_w32_coco_wholebody_256x192_dark-469327ef_20200922.pth",
        (("COCO-WholeBody", "Whole AP", 0.582),),
        "COCO-WholeBody",
    ),
    _openmmlab(
        "hrnet-w48-dark_coco-wholebody-384x288",
        "wholebody",
        "td-hm_hrnet-w48_dark-8xb32-210e_coco-wholebody-384x288",
        TOP_DOWN + "hrnet/hrnet_w48_coco_wholebody_384x288_dark-f5726563_20200918.pth",
        (("COCO-WholeBody", "Whole AP", 0.661),),
        "COCO-WholeBody",
    ),
    _openmmlab(
        "hrnet-w32_ubody-256x192",
        "wholebody",
        "td-hm_hrnet-w32_8xb64-210e_ubody-256x192",
        V1_BASE
        + "wholebody_2d_keypoint/ubody/td-hm_hrnet-w32_8xb64-210e_ubody-coco-256x192-7c227391_20230807.pth",
        (("COCO-WholeBody", "Whole AP", 0.536),),
        "UBody and COCO-WholeBody",
    ),
    _openmmlab(
        "rtmdet-nano_person-320",
        "detection",
        "rtmdet_nano_320-8xb32_coco-person",
        V1_RTMPOSE + "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth",
        (),
        PERSON_BOXES,
        hub=(Source(ONNX_EXPORTS + "rtmdet_nano_person.onnx"),),
    ),
    _openmmlab(
        "rtmdet-m_person-640",
        "detection",
        "rtmdet_m_640-8xb32_coco-person",
        V1 + "rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth",
        (),
        PERSON_BOXES,
    ),
    _openmmlab(
        "rtmdet-nano_hand-320",
        "detection",
        "rtmdet_nano_320-8xb32_hand",
        V1 + "rtmdet_nano_8xb32-300e_hand-267f9c8f.pth",
        (),
        HAND_BOXES,
    ),
    _openmmlab(
        "rtmdet-tiny_coco-640",
        "detection",
        "rtmdet_tiny_8xb32-300e_coco",
        MMDET3
        + "rtmdet_tiny_8xb32-300e_coco/rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth",
        (("COCO", "box AP", 40.9),),
        "COCO",
        aliases=("rtmdet-t",),
    ),
    _openmmlab(
        "rtmdet-s_coco-640",
        "detection",
        "rtmdet_s_8xb32-300e_coco",
        MMDET3 + "rtmdet_s_8xb32-300e_coco/rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth",
        (("COCO", "box AP", 44.5),),
        "COCO",
        aliases=("rtmdet-s",),
    ),
    _openmmlab(
        "rtmdet-m_coco-640",
        "detection",
        "rtmdet_m_8xb32-300e_coco",
        MMDET3 + "rtmdet_m_8xb32-300e_coco/rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth",
        (("COCO", "box AP", 49.1),),
        "COCO",
        aliases=("rtmdet-m",),
    ),
    _openmmlab(
        "rtmdet-l_coco-640",
        "detection",
        "rtmdet_l_8xb32-300e_coco",
        MMDET3 + "rtmdet_l_8xb32-300e_coco/rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth",
        (("COCO", "box AP", 51.3),),
        "COCO",
        aliases=("rtmdet-l",),
    ),
    _openmmlab(
        "rtmdet-x_coco-640",
        "detection",
        "rtmdet_x_8xb32-300e_coco",
        MMDET3 + "rtmdet_x_8xb32-300e_coco/rtmdet_x_8xb32-300e_coco_20220715_230555-cc79b9ae.pth",
        (("COCO", "box AP", 52.6),),
        "COCO",
        aliases=("rtmdet-x",),
    ),
    _openmmlab(
        "yolox-tiny_coco-416",
        "detection",
        "yolox_tiny_8xb8-300e_coco",
        MMDET2
        + "yolox/yolox_tiny_8x8_300e_coco/yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth",
        (("COCO", "box AP", 32.0),),
        "COCO",
        older_configs=("yolox_tiny_8x8_300e_coco",),
    ),
    _openmmlab(
        "yolox-s_coco-640",
        "detection",
        "yolox_s_8xb8-300e_coco",
        MMDET2 + "yolox/yolox_s_8x8_300e_coco/yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth",
        (("COCO", "box AP", 40.5),),
        "COCO",
        older_configs=("yolox_s_8x8_300e_coco",),
    ),
    _openmmlab(
        "yolox-l_coco-640",
        "detection",
        "yolox_l_8xb8-300e_coco",
        MMDET2 + "yolox/yolox_l_8x8_300e_coco/yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth",
        (("COCO", "box AP", 49.4),),
        "COCO",
        older_configs=("yolox_l_8x8_300e_coco",),
    ),
    _openmmlab(
        "yolox-x_coco-640",
        "detection",
        "yolox_x_8xb8-300e_coco",
        MMDET2 + "yolox/yolox_x_8x8_300e_coco/yolox_x_8x8_300e_coco_20211126_140254-1ef88d67.pth",
        (("COCO", "box AP", 50.9),),
        "COCO",
        older_configs=("yolox_x_8x8_300e_coco",),
    ),
    _openmmlab(
        "yolox-s_face-640",
        "detection",
        "yolox-s_8xb8-300e_coco-face",
        MMPOSE + "mmdet_pretrained/yolo-x_8xb8-300e_coco-face_13274d7c.pth",
        (),
        "faces of COCO-WholeBody",
    ),
    _openmmlab(
        "ssdlite-mobilenetv2_onehand-320",
        "detection",
        "ssdlite_mobilenetv2_scratch_600e_onehand",
        MMPOSE + "mmdet_pretrained/ssdlite_mobilenetv2_scratch_600e_onehand-4f9f8686_20220523.pth",
        (),
        "OneHand10K",
    ),
    _openmmlab(
        "motionbert-ft_h36m",
        "lifting",
        "motionbert_dstformer-ft-243frm_8xb32-120e_h36m",
        V1_BASE + "body_3d_keypoint/pose_lift/h36m/motionbert_ft_h36m-d80af323_20230531.pth",
        (("Human3.6M", "MPJPE", 26.9), ("Human3.6M", "P-MPJPE", 21.0)),
        "Human3.6M, pre-trained on AMASS, Human3.6M, PoseTrack and InstaVariety",
        aliases=("human3d",),
        older_configs=("vid_pl_motionbert_8xb32-120e_h36m",),
        hub=(Source(MOTIONBERT),),
    ),
    _openmmlab(
        "motionbert_h36m",
        "lifting",
        "motionbert_dstformer-243frm_8xb32-240e_h36m",
        V1_BASE + "body_3d_keypoint/pose_lift/h36m/motionbert_h36m-f554954f_20230531.pth",
        (("Human3.6M", "MPJPE", 34.5), ("Human3.6M", "P-MPJPE", 27.1)),
        "Human3.6M",
    ),
    _openmmlab(
        "internet-r50_interhand3d-256x256",
        "hand 3d",
        "internet_res50_4xb16-20e_interhand3d-256x256",
        MMPOSE + "hand3d/internet/res50_intehand3dv1.0_all_256x256-42b7f2ac_20210702.pth",
        (("InterHand2.6M (H+M)", "MPJPE-all", 11.59), ("InterHand2.6M (H+M)", "MRRPE", 29.28)),
        "InterHand2.6M v1.0",
        aliases=("hand3d",),
    ),
    Checkpoint(
        name="rtmpose-n_drawn-192x128",
        task="demo",
        config="rtmpose-n_drawn-192x128",
        sources=(),
        metrics=(Metric("drawn people", "AP", 91.2),),
        license="Apache-2.0",
        training_data="drawn people",
        aliases=("demo",),
    ),
    Checkpoint(
        name="rtmdet-nano_drawn-256",
        task="detection",
        config="rtmdet-nano_drawn-256",
        sources=(),
        metrics=(Metric("drawn people", "box AP", 84.2),),
        license="Apache-2.0",
        training_data="drawn people",
    ),
    _openmmlab(
        "rtmo-t_body7-416x416",
        "body",
        "rtmo-t_8xb32-600e_body7-416x416",
        RTMO + "rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219.pth",
        (("COCO", "AP", 0.574),),
        BODY8,
        aliases=("rtmo-t",),
    ),
    _openmmlab(
        "rtmo-s_body7-640x640",
        "body",
        "rtmo-s_8xb32-600e_body7-640x640",
        RTMO + "rtmo-s_8xb32-600e_body7-640x640-dac2bf74_20231211.pth",
        (("COCO", "AP", 0.686),),
        BODY8,
        aliases=("rtmo-s",),
    ),
    _openmmlab(
        "rtmo-m_body7-640x640",
        "body",
        "rtmo-m_16xb16-600e_body7-640x640",
        RTMO + "rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211.pth",
        (("COCO", "AP", 0.726),),
        BODY8,
        aliases=("rtmo-m",),
    ),
    _openmmlab(
        "rtmo-l_body7-640x640",
        "body",
        "rtmo-l_16xb16-600e_body7-640x640",
        RTMO + "rtmo-l_16xb16-600e_body7-640x640-b37118ce_20231211.pth",
        (("COCO", "AP", 0.748),),
        BODY8,
        aliases=("rtmo-l", "rtmo"),
    ),
    _openmmlab(
        "rtmo-s_coco-640x640",
        "body",
        "rtmo-s_8xb32-600e_coco-640x640",
        RTMO + "rtmo-s_8xb32-600e_coco-640x640-8db55a59_20231211.pth",
        (("COCO", "AP", 0.673),),
        "COCO",
    ),
    _openmmlab(
        "rtmo-m_coco-640x640",
        "body",
        "rtmo-m_16xb16-600e_coco-640x640",
        RTMO + "rtmo-m_16xb16-600e_coco-640x640-6f4e0306_20231211.pth",
        (("COCO", "AP", 0.709),),
        "COCO",
    ),
    _openmmlab(
        "rtmo-l_coco-640x640",
        "body",
        "rtmo-l_16xb16-600e_coco-640x640",
        RTMO + "rtmo-l_16xb16-600e_coco-640x640-516a421f_20231211.pth",
        (("COCO", "AP", 0.724),),
        "COCO",
    ),
    _openmmlab(
        "rtmo-s_crowdpose-640x640",
        "body",
        "rtmo-s_8xb32-700e_crowdpose-640x640",
        RTMO + "rtmo-s_8xb32-700e_crowdpose-640x640-79f81c0d_20231211.pth",
        (("CrowdPose", "AP", 0.673),),
        "CrowdPose",
    ),
    _openmmlab(
        "rtmo-m_crowdpose-640x640",
        "body",
        "rtmo-m_16xb16-700e_crowdpose-640x640",
        RTMO + "rrtmo-m_16xb16-700e_crowdpose-640x640-0eaf670d_20231211.pth",
        (("CrowdPose", "AP", 0.711),),
        "CrowdPose",
    ),
    _openmmlab(
        "rtmo-l_crowdpose-640x640",
        "body",
        "rtmo-l_16xb16-700e_crowdpose-640x640",
        RTMO + "rtmo-l_16xb16-700e_crowdpose-640x640-1008211f_20231211.pth",
        (("CrowdPose", "AP", 0.732),),
        "CrowdPose",
    ),
    _openmmlab(
        "rtmo-l_body7-crowdpose-640x640",
        "body",
        "rtmo-l_16xb16-700e_body7-crowdpose-640x640",
        RTMO + "rtmo-l_16xb16-700e_body7-crowdpose-640x640-5bafdc11_20231219.pth",
        (("CrowdPose", "AP", 0.838),),
        BODY8 + ", then CrowdPose",
    ),
)
