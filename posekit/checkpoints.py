"""The table of published checkpoints: one row each. Light: imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHECKPOINTS", "Checkpoint", "Metric", "Source"]


@dataclass(frozen=True)
class Source:
    """One place that a checkpoint can be had from.

    Attributes:
        location: `https://...`, or `hf://org/repo/path/in/repo@revision` for a Hub repository.
        sha256: the file's digest, whole or its first digits; None where none is known.
    """

    location: str
    sha256: str | None = None


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
        sources: where the weights can be had, tried in order.
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


# Download folders of OpenMMLab.
_DOWNLOADS = "https://download.openmmlab.com/"
V1 = _DOWNLOADS + "mmpose/v1/projects/rtmposev1/"
V1_RTMPOSE = _DOWNLOADS + "mmpose/v1/projects/rtmpose/"
RTMW = _DOWNLOADS + "mmpose/v1/projects/rtmw/"
MMDET3 = _DOWNLOADS + "mmdetection/v3.0/rtmdet/"

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
) -> Checkpoint:
    """A row whose weights OpenMMLab published, under its licence."""
    return Checkpoint(
        name=name,
        task=task,
        config=config,
        sources=(Source(url),),
        metrics=tuple(Metric(*metric) for metric in metrics),
        license="Apache-2.0",
        training_data=training_data,
        aliases=aliases,
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
    ),
    _openmmlab(
        "rtmpose-l_aic-coco-256x192",
        "body",
        "rtmpose-l_8xb256-420e_aic-coco-256x192",
        V1 + "rtmpose-l_simcc-aic-coco_pt-aic-coco_420e-256x192-f016ffe0_20230126.pth",
        (("COCO", "AP", 0.765),),
        AIC_COCO,
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
    ),
    _openmmlab(
        "rtmw-l_cocktail14-256x192",
        "wholebody",
        "rtmw-l_8xb1024-270e_cocktail14-256x192",
        RTMW + "rtmw-dw-x-l_simcc-cocktail14_270e-256x192-20231122.pth",
        (("COCO-WholeBody", "Whole AP", 0.66),),
        COCKTAIL14,
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
        "rtmdet-nano_person-320",
        "detection",
        "rtmdet_nano_320-8xb32_coco-person",
        V1_RTMPOSE + "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth",
        (),
        PERSON_BOXES,
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
)
