"""A pose model's keypoints for the people of a data set, and their metrics.

The network sees one batch after the other; only predictions and sums are kept. Crops, networks
and decoding are those of prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from posekit.coco_form import rescored
from posekit.datasets.batches import batches, collate, init_worker
from posekit.datasets.pose_samples import PoseDataset
from posekit.errors import InputError
from posekit.evaluation.networks import in_eval_mode
from posekit.evaluation.pose_metrics import PoseBatch, PoseMetrics
from posekit.stages.estimate import Crops, PoseEstimator

__all__ = ["coco_results", "evaluate_pose", "predict_dataset"]


def evaluate_pose(
    estimator: PoseEstimator,
    dataset: PoseDataset,
    *,
    batch_size: int = 64,
    flip_test: bool | None = None,
    metrics: Sequence[str] | PoseMetrics,
    nms_threshold: float | None = 0.9,
    keypoint_threshold: float | None = 0.2,
    workers: int = 0,
) -> dict[str, float]:
    """Metrics of a pose model on the boxes of a data set, labelled or detected.

    Args:
        estimator: the model; its network is in eval mode meanwhile.
        dataset: evaluation samples (no augmentation) in the model's input size.
        batch_size: most crops that go through the network at once.
        flip_test: average with the mirrored crop; None does as the model's configuration says.
        metrics: any of `POSE_METRICS`; or the `PoseMetrics` of this data set and model, whose
            earlier measurements are forgotten.
        nms_threshold: for AP: of two people in an image with an OKS above this, the one with the
            lower score is dropped; None keeps all.
        keypoint_threshold: for AP: a person's score is the box score times the mean of the keypoint
            scores above this; None takes the box score.
        workers: processes that read images; 0 reads them in this one.

    Returns:
        As `PoseMetrics.compute`.

    Raises:
        InputError: an unknown metric, or a data set that does not fit the metrics or the model.
    """
    if isinstance(metrics, PoseMetrics):
        found = metrics
        found.clear()
    else:
        found = PoseMetrics(
            dataset,
            estimator.skeleton,
            metrics,
            nms_threshold=nms_threshold,
            keypoint_threshold=keypoint_threshold,
        )
    for batch in predict_dataset(
        estimator, dataset, batch_size=batch_size, flip_test=flip_test, workers=workers
    ):
        found.update(batch)
    return found.compute()


def predict_dataset(
    estimator: PoseEstimator,
    dataset: PoseDataset,
    *,
    batch_size: int = 64,
    flip_test: bool | None = None,
    workers: int = 0,
) -> Iterator[PoseBatch]:
    """The model's keypoints for every box of a data set, image by image; see `evaluate_pose`."""
    _check_fits(estimator, dataset)
    # An image's people follow each other, so that it is decoded once.
    sizes = [len(labels) for labels in dataset.labels]
    starts = np.cumsum([0, *sizes[:-1]])
    order = np.concatenate(
        [
            start + np.argsort(labels.image_rows, kind="stable")
            for start, labels in zip(starts, dataset.labels, strict=True)
        ]
    )
    loader: DataLoader[dict[str, Any]] = DataLoader(
        dataset,
        batch_size,
        sampler=order.tolist(),
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=init_worker,
        # A loader draws a seed, and the numbers of training must not depend on it.
        generator=torch.Generator(),
    )
    with in_eval_mode(estimator.net):
        for tensors in batches(loader):
            samples = {key: value.numpy() for key, value in tensors.items()}
            crops = Crops(samples.pop("crop"), samples["center"], samples["scale"])
            in_crop, scores = estimator.codec.decode(
                estimator.forward(crops.pixels, flip_test=flip_test)
            )
            yield PoseBatch(samples, crops.to_image(in_crop), scores)


def coco_results(
    batch: PoseBatch, *, keypoint_threshold: float | None = 0.2
) -> list[dict[str, Any]]:
    """COCO results of all people of a batch, with all keypoints of the model."""
    scores = batch.samples["bbox_score"]
    if keypoint_threshold is not None:
        scores = rescored(scores, batch.scores, threshold=keypoint_threshold)
    rows = np.concatenate([batch.keypoints, batch.scores[..., None]], axis=-1)
    return [
        {
            "image_id": int(image),
            "category_id": int(category),
            "keypoints": row.ravel().tolist(),
            "score": float(score),
        }
        for image, category, row, score in zip(
            batch.samples["image_id"], batch.samples["category_id"], rows, scores, strict=True
        )
    ]


def _check_fits(estimator: PoseEstimator, dataset: PoseDataset) -> None:
    if dataset.augment is not None or dataset.final_augment is not None:
        raise InputError("expected evaluation samples, found augmented ones: give augment=None")
    if len(dataset) != sum(len(labels) for labels in dataset.labels):
        raise InputError("expected every instance once: leave out 'repeat' to evaluate")
    for what in ("input_size", "padding", "udp"):
        wanted, found = getattr(estimator, what), getattr(dataset, what)
        if wanted != found:
            raise InputError(
                f"the data set's crops do not fit the model: expected {what} {wanted}, found "
                f"{found}"
            )
