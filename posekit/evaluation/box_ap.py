"""Average precision of boxes (IoU), as COCO measures it.

Source: COCO (arXiv 1405.0312) through its own pycocotools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.evaluation.cocoeval import check_ids, cocoeval, pycocotools, summary
from posekit.evaluation.truth import area_of, box_of, read_truth, whole_numbers

__all__ = ["BoxAP"]


class BoxAP:
    """mAP and AR of boxes; it keeps the predictions.

    For AP(S), AP(M) and AP(L), an annotation without a usable area has the area of its box.

    Args:
        annotations: COCO-style, a file or its content.
        category_ids: evaluate only these; None takes all that the annotations have.

    Raises:
        InputError: annotations that are not COCO-style, ids that are not unique whole numbers, an
            annotation without a box, or unknown categories.
    """

    def __init__(
        self,
        annotations: str | Path | Mapping[str, Any],
        *,
        category_ids: Sequence[int] | None = None,
    ) -> None:
        pycocotools()  # not when all predictions are there
        dataset = read_truth(annotations)
        self._images = {image["id"] for image in dataset["images"]}
        self._categories = {category["id"] for category in dataset["categories"]}
        self.category_ids = sorted(self._categories if category_ids is None else category_ids)
        check_ids(np.asarray(self.category_ids), self._categories, "category ids")
        images = {image["id"]: image for image in dataset["images"]}
        truth = [_with_box(annotation, images) for annotation in dataset["annotations"]]
        self._truth = {**dataset, "annotations": truth}
        self.clear()

    def clear(self) -> None:
        """Forgets all predictions."""
        self._found: list[dict[str, Any]] = []

    def update(
        self,
        image_ids: Sequence[int] | np.ndarray,
        boxes_xyxy: np.ndarray,
        scores: np.ndarray,
        category_ids: Sequence[int] | np.ndarray,
    ) -> None:
        """Takes boxes, of one image or of several.

        Args:
            image_ids: (n,), as in the annotations.
            boxes_xyxy: (n, 4), in pixels of the image.
            scores: (n,).
            category_ids: (n,), as in the annotations.

        Raises:
            InputError: shapes that do not fit each other, or ids that the annotations lack.
        """
        ids = whole_numbers(image_ids, "image ids")
        categories = whole_numbers(category_ids, "category ids")
        boxes = np.asarray(boxes_xyxy, np.float64)
        if boxes.shape != (len(ids), 4) or not len(ids) == len(scores) == len(categories):
            raise InputError(
                "expected image_ids (n,), boxes (n, 4), scores (n,) and category_ids (n,), found "
                f"{ids.shape}, {boxes.shape}, {np.shape(scores)} and {categories.shape}"
            )
        check_ids(ids, self._images, "image ids")
        check_ids(categories, self._categories, "category ids")
        sizes = boxes[:, 2:] - boxes[:, :2]
        for row in zip(ids, categories, scores, boxes, sizes, strict=True):
            image_id, category_id, score, box, size = row
            self._found.append(
                {
                    "image_id": int(image_id),
                    "category_id": int(category_id),
                    "score": float(score),
                    "bbox": [*box[:2].tolist(), *size.tolist()],
                    "area": float(size.prod()),
                }
            )

    def compute(self) -> dict[str, float]:
        """AP, AP50, AP75, AP(S), AP(M), AP(L) and AR likewise, 0 to 1; NaN where nothing counts."""
        evaluation = cocoeval(self._truth, self._found, "bbox", category_ids=self.category_ids)
        return summary(evaluation, ("S", "M", "L"))

    def results(self) -> list[dict[str, Any]]:
        """All boxes so far as COCO results."""
        fields = ("image_id", "category_id", "bbox", "score")
        return [{field: box[field] for field in fields} for box in self._found]


def _with_box(annotation: Mapping[str, Any], images: Mapping[int, Any]) -> dict[str, Any]:
    """The annotation with its box as numbers, and with the box's area if it has none."""
    box = box_of(annotation)
    if box is None:
        raise InputError(
            f"annotation {annotation['id']}: expected [x, y, width, height] as 'bbox', found "
            f"{annotation.get('bbox')!r}"
        )
    area = area_of(annotation, box, images.get(annotation["image_id"]))
    return {**annotation, "bbox": box, "area": box[2] * box[3] if area is None else area}
