"""Colours, links and labels of MMPose's visualizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.metainfo import dataset_meta
from posekit.mmpose.visualizer import VISUALIZERS, PoseLocalVisualizer, visualize
from posekit.skeleton import load_skeleton
from posekit.structures import InstanceData, PixelData, PoseDataSample

BLACK = np.zeros((40, 60, 3), np.uint8)
# Three keypoints in a row.
POINTS = np.array([[[10.0, 20.0], [30.0, 20.0], [50.0, 20.0]]])
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def sample(**fields: Any) -> PoseDataSample:
    return PoseDataSample(pred_instances=InstanceData(keypoints=POINTS, **fields))


def draw(visualizer: PoseLocalVisualizer, **options: Any) -> np.ndarray:
    return visualizer.add_datasample("result", BLACK, sample(), **options)


def dots(drawing: np.ndarray) -> list[tuple[int, ...]]:
    """The colours of the three keypoints."""
    return [tuple(drawing[20, x].tolist()) for x in (10, 30, 50)]


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("auto", [RED] * 3),  # as the reference, which knows nothing of three keypoints
        ("blue", [BLUE] * 3),
        ("#0000ff", [BLUE] * 3),
        (BLUE, [BLUE] * 3),
        ((RED, GREEN, BLUE), [RED, GREEN, BLUE]),
        (["r", None, "b"], [RED, (0, 0, 0), BLUE]),
        (np.array([RED, GREEN, BLUE], np.uint8), [RED, GREEN, BLUE]),
        (None, [(0, 0, 0)] * 3),
    ],
)
def test_colours_of_keypoints(color: Any, expected: list[tuple[int, int, int]]) -> None:
    assert dots(draw(PoseLocalVisualizer(kpt_color=color))) == expected
    visualizer = PoseLocalVisualizer()
    visualizer.kpt_color = color
    assert dots(draw(visualizer)) == expected


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        (None, [(0, 0, 0), (0, 0, 0)]),
        ("auto", [(0, 0, 0), (0, 0, 0)]),  # links of no colour, as the reference
        ("green", [GREEN, GREEN]),
        ([GREEN, BLUE], [GREEN, BLUE]),
        ([None, "b"], [(0, 0, 0), BLUE]),
    ],
)
def test_colours_of_links(color: Any, expected: list[tuple[int, int, int]]) -> None:
    drawing = draw(PoseLocalVisualizer(skeleton=[[0, 1], (1, 2)], link_color=color))
    assert [tuple(drawing[20, x].tolist()) for x in (20, 40)] == expected


@pytest.mark.parametrize(
    ("color", "expected"), [("green", GREEN), ("#f00", RED), (BLUE, BLUE), (None, (0, 0, 0))]
)
def test_colours_of_boxes(color: Any, expected: tuple[int, int, int]) -> None:
    drawing = PoseLocalVisualizer(bbox_color=color).add_datasample(
        "result", BLACK, sample(bboxes=np.array([[5.0, 10, 55, 30]])), draw_bbox=True
    )
    assert tuple(drawing[10, 40].tolist()) == expected


def test_labels_stand_on_their_boxes() -> None:
    boxes = {"bboxes": np.array([[5.0, 30, 55, 39]]), "labels": np.array([1])}

    def labelled(**arguments: Any) -> np.ndarray:
        visualizer = PoseLocalVisualizer(kpt_color=None, bbox_color="blue", **arguments)
        visualizer.set_dataset_meta({"skeleton_links": [], "classes": ("cat", "dog")})
        return visualizer.add_datasample("result", BLACK, sample(**boxes), draw_bbox=True)

    above = slice(18, 29)
    assert not labelled(text_color=None)[above].any()
    letters = labelled(text_color="green")[above].astype(int)
    assert (letters == BLUE).all(axis=-1).sum() > 20  # what they stand on
    assert (letters[..., 1] > 100).sum() > 5 and not letters[..., 0].any()


def test_metainfo_takes_the_place_of_colours() -> None:
    meta = dataset_meta(load_skeleton("coco"))
    visualizer = PoseLocalVisualizer(kpt_color="blue", link_color="blue")
    visualizer.set_dataset_meta({**meta, "bbox_color": "red"})
    np.testing.assert_array_equal(visualizer.kpt_color, meta["keypoint_colors"])
    np.testing.assert_array_equal(visualizer.link_color, meta["skeleton_link_colors"])
    assert visualizer.skeleton == meta["skeleton_links"] and visualizer.bbox_color == "red"


def test_a_part_of_a_meta_is_enough() -> None:
    visualizer = PoseLocalVisualizer(link_color="green")
    visualizer.set_dataset_meta({"skeleton_links": [[0, 1]]})
    drawing = draw(visualizer)
    assert dots(drawing) == [RED] * 3
    assert tuple(drawing[20, 20]) == GREEN and not drawing[20, 40].any()


def test_other_parts_of_a_meta_and_none_are_taken() -> None:
    visualizer = PoseLocalVisualizer(kpt_color="blue")
    for nothing in (None, {}):
        visualizer.set_dataset_meta(nothing)
        assert visualizer.kpt_color == "blue" and visualizer.skeleton is None
    visualizer.set_dataset_meta({"classes": ("person",), "bbox_color": "red"})
    assert visualizer.bbox_color == "red" and visualizer.kpt_color == "blue"


def test_links_of_ones_own_do_not_have_the_colours_of_others() -> None:
    points = np.tile(POINTS[:, :1], (1, 17, 1)) + np.arange(17)[:, None] * [2, 0]
    people = PoseDataSample(pred_instances=InstanceData(keypoints=points))
    links = [list(link) for link in load_skeleton("coco").links]
    drawings = [
        PoseLocalVisualizer(skeleton=skeleton, kpt_color=None).add_datasample("", BLACK, people)
        for skeleton in (None, links, [[0, 16]])
    ]
    assert drawings[0].any() and not drawings[2].any()
    np.testing.assert_array_equal(drawings[0], drawings[1])


def test_visibility_comes_before_scores() -> None:
    shown = sample(keypoint_scores=np.ones((1, 3)), keypoints_visible=np.array([[1.0, 0, 1]]))
    drawing = PoseLocalVisualizer().add_datasample("", BLACK, shown)
    assert dots(drawing) == [RED, (0, 0, 0), RED]


def test_a_radius_loses_its_fraction() -> None:
    whole, more = (
        draw(PoseLocalVisualizer(radius=radius), show_kpt_idx=True) for radius in (4, 4.9)
    )
    np.testing.assert_array_equal(more, whole)


def test_metainfo_of_ones_own() -> None:
    info = {
        "dataset_name": "row",
        "keypoint_info": {i: {"name": f"k{i}", "id": i, "color": BLUE} for i in range(3)},
        "skeleton_info": {0: {"link": ("k0", "k1"), "id": 0, "color": GREEN}},
        "joint_weights": [1.0] * 3,
        "sigmas": [0.1] * 3,
    }
    mine = PoseLocalVisualizer(radius=4)
    drawing = visualize(BLACK, POINTS, metainfo=info, visualizer=mine)
    assert dots(drawing) == [BLUE] * 3 and tuple(drawing[20, 20]) == GREEN
    np.testing.assert_array_equal(mine.get_image(), drawing)
    assert mine.kpt_color == "auto"  # the metainfo was for that drawing
    assert dots(visualize(BLACK, POINTS)) == [RED] * 3


def test_dots_are_as_opaque_as_they_are_sure() -> None:
    scores = np.array([[1.0, 0.5, 0.31]], np.float32)
    instances = sample(keypoint_scores=scores)
    opaque = PoseLocalVisualizer().add_datasample("result", BLACK, instances)
    assert dots(opaque) == [RED] * 3
    weighted = PoseLocalVisualizer(show_keypoint_weight=True, alpha=0.8)
    found = [color[0] for color in dots(weighted.add_datasample("result", BLACK, instances))]
    np.testing.assert_allclose(found, 255 * 0.8 * scores[0], atol=1)


def test_numbers_have_the_colour_of_their_keypoint() -> None:
    visualizer = PoseLocalVisualizer(kpt_color=[RED, None, BLUE], radius=4)
    plain, numbered = draw(visualizer), draw(visualizer, show_kpt_idx=True)
    changed = (numbered != plain).any(axis=(0, 2)).nonzero()[0]
    assert ((changed < 25) | (changed > 45)).all()
    written = numbered.astype(int) - plain  # OpenCV may draw letters with soft edges
    assert written[:, :25, 0].any() and not written[:, :25, 1:].any()
    assert written[:, 45:, 2].any() and not written[:, 45:, :2].any()


def test_a_crops_heat_maps_lie_where_the_crop_is() -> None:
    one = sample()
    one.set_metainfo({"input_center": np.array([40, 20]), "input_scale": np.array([20, 20])})
    maps = np.zeros((3, 10, 10), np.float32)
    maps[1, 5, 5] = 1
    one.pred_fields = PixelData(heatmaps=maps)
    visualizer = PoseLocalVisualizer(kpt_color=None)
    heat = visualizer.add_datasample("result", BLACK, one, draw_heatmap=True)[40:]
    red = heat[..., 0].astype(int) - heat[..., 2]
    assert np.unravel_index(red.argmax(), red.shape) == (20, 40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kpt_color": ["red", "blue"]}, "kpt_color must have 3 colours.*found 2"),
        ({"kpt_color": "rouge"}, "kpt_color: unknown colour 'rouge'"),
        ({"kpt_color": 5}, "kpt_color: expected a colour's name"),
        ({"skeleton": [(0, 1)], "link_color": ["r", "g"]}, "link_color must have 1 colours"),
        ({"skeleton": [(0, 3)], "link_color": "r"}, r"links: expected indices 0\.\.2"),
        ({"skeleton": [0, 1]}, r"skeleton must be pairs of keypoint indices, found \[0, 1\]"),
        ({"radius": "3"}, "radius as a whole number of pixels"),
    ],
)
def test_looks_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(PoseLocalVisualizer(**arguments))


def test_every_argument_may_be_in_a_configuration(tmp_path: Path) -> None:
    visualizer = VISUALIZERS.build(
        {
            "type": "PoseLocalVisualizer", "name": "mine", "image": BLACK, "vis_backends": [],
            "save_dir": str(tmp_path), "bbox_color": "red", "kpt_color": BLUE, "link_color": None,
            "text_color": (1, 2, 3), "skeleton": [[0, 1]], "line_width": 2, "radius": 5,
            "show_keypoint_weight": False, "backend": "opencv", "alpha": 0.5,
        }
    )  # fmt: skip
    np.testing.assert_array_equal(visualizer.get_image(), BLACK)
    assert visualizer.radius == 5 and dots(draw(visualizer)) == [(0, 0, 128)] * 3
    with pytest.raises(InputError, match="MMPoseInferencer"):
        VISUALIZERS.build({"type": "Pose3dLocalVisualizer"})
