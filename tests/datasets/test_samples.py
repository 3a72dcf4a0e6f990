"""Samples: geometry as in prediction, the same for every number of workers, from any position."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from posekit.datasets.augment import DetectionAugment, PoseAugment
from posekit.datasets.batches import batches, collate, init_worker
from posekit.datasets.decoded_images import from_reduced
from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.lifting_samples import LiftingDataset
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.sampler import ResumableSampler
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import parse_dataset, parse_sources
from posekit.errors import InputError
from posekit.skeleton import Skeleton, load_skeleton
from posekit.transforms.affine import boxes_to_cs, crop, crop_matrices, to_image
from posekit.transforms.image import letterbox
from tests.datasets.sets import COLORS, NAMES, coco, save

SIZE = (96, 128)  # (w, h)
WILD = PoseAugment(hsv=(0, 0, 0), blur=0, median_blur=0, dropout=0, half_body=0, rotation_prob=1)


def skeleton_of(path: str) -> Skeleton:
    return dataset_skeleton(parse_dataset(path))


def pose_set(path: str, **options: Any) -> PoseDataset:
    return PoseDataset(parse_sources(path), skeleton_of(path), input_size=SIZE, **options)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("udp", [False, True])
def test_evaluation_crops_are_those_of_prediction(tmp_path: Path, udp: bool) -> None:
    path = save(tmp_path, coco())
    sample = pose_set(path, udp=udp)[2]
    image = cv2.imread(str(tmp_path / "2.png"))
    centers, scales = boxes_to_cs(sample["bbox"][None], input_size=SIZE)
    expected = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    crop(image, crop_matrices(centers, scales, input_size=SIZE, udp=udp)[0], expected)
    assert np.array_equal(sample["crop"], expected)
    assert np.array_equal(sample["center"], centers[0])
    assert np.array_equal(sample["scale"], scales[0])


def test_keypoints_of_an_evaluation_crop_lead_back_to_the_image(tmp_path: Path) -> None:
    sample = pose_set(save(tmp_path, coco()))[1]
    back = to_image(
        sample["keypoints"][None], sample["center"][None], sample["scale"][None], input_size=SIZE
    )
    np.testing.assert_allclose(back[0], sample["image_keypoints"], atol=1e-3)
    assert (sample["image_id"], sample["annotation_id"]) == (11, 101)


@pytest.mark.parametrize("udp", [False, True])
def test_augmented_keypoints_stay_on_what_they_name(tmp_path: Path, udp: bool) -> None:
    path = save(tmp_path, coco(size_wh=(640, 480)), radius=12)
    dataset = pose_set(path, augment=WILD, udp=udp)
    flip_indices = dataset.skeleton.flip_indices
    flips = seen = 0
    for epoch in range(20):
        sample = dataset[epoch, epoch % 4]
        mirrored = np.linalg.det(sample["matrix"][:, :2]) < 0
        flips += mirrored
        for k in np.flatnonzero(sample["visible"]):
            # A mirrored person's left eye is where the right one was drawn.
            color = COLORS[flip_indices[k] if mirrored else k]
            x, y = np.minimum(
                np.rint(sample["keypoints"][k]).astype(int), (SIZE[0] - 1, SIZE[1] - 1)
            )
            assert np.abs(sample["crop"][y, x].astype(int) - color).max() < 110
            seen += 1
    assert 0 < flips < 20
    assert seen > 50


def test_keypoints_outside_of_the_crop_are_not_visible(tmp_path: Path) -> None:
    data = coco(1)
    data["annotations"][0]["keypoints"][:3] = [319, 239, 2]
    data["annotations"][0]["keypoints"][5] = 0
    sample = pose_set(save(tmp_path, data), padding=1.0)[0]
    assert sample["visible"].tolist() == [0, 0, 1, 1, 1]
    assert sample["image_visible"].tolist() == [1, 0, 1, 1, 1]


def test_huge_images_are_decoded_smaller_without_moving_keypoints(tmp_path: Path) -> None:
    data = coco(1, size_wh=(1600, 1200))
    for image in data["images"]:
        image["file_name"] = "0.jpg"
    dataset = pose_set(save(tmp_path, data, radius=40), augment=WILD)
    for epoch in range(6):
        sample = dataset[epoch, 0]
        for k in np.flatnonzero(sample["visible"]):
            x, y = sample["keypoints"][k]
            color = np.array(COLORS[k])
            if np.linalg.det(sample["matrix"][:, :2]) < 0:
                color = np.array(COLORS[dataset.skeleton.flip_indices[k]])
            near = (np.abs(sample["crop"].astype(int) - color).max(axis=-1) < 80).astype(np.uint8)
            _, _, _, centers = cv2.connectedComponentsWithStats(near)
            inside = 4 < x < SIZE[0] - 5 and 4 < y < SIZE[1] - 5
            if inside:
                assert np.abs(centers[1:] - (x, y)).max(axis=1).min() < 0.75
    assert {shrink for _, shrink in dataset._images.images} - {1}


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_pixel_of_a_smaller_image_covers_those_it_was_made_of(shrink: int) -> None:
    matrix = np.array([[0.3, 0.1, 7.0], [-0.2, 0.4, 5.0]])
    smaller = from_reduced(matrix, 1 / shrink)
    for pixel in ([0, 0], [5, 9]):
        middle = np.array([*(shrink * np.array(pixel) + (shrink - 1) / 2), 1])
        np.testing.assert_allclose(smaller @ [*pixel, 1], matrix @ middle)


def test_a_sample_depends_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    first, second = (pose_set(path, augment=PoseAugment(), seed=3) for _ in range(2))
    expected = [first[5, i] for i in range(4)]
    assert all(same(second[5, i], expected[i]) for i in reversed(range(4)))
    assert not same(second[6, 0], expected[0])
    assert not same(pose_set(path, augment=PoseAugment(), seed=4)[5, 0], expected[0])


def test_batches_are_the_same_with_and_without_workers(tmp_path: Path) -> None:
    dataset = pose_set(save(tmp_path, coco()), augment=PoseAugment())

    def batches(workers: int) -> list[dict[str, torch.Tensor]]:
        sampler = ResumableSampler(len(dataset), seed=1)
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=2,
            sampler=sampler,
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=init_worker,
        )
        return list(loader)

    alone, shared_out = batches(0), batches(2)
    assert len(alone) == 2
    assert alone[0]["crop"].dtype == torch.uint8
    for one, other in zip(alone, shared_out, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_second_stage_has_its_own_augmentation(tmp_path: Path) -> None:
    still = PoseAugment(
        flip=0, shift_prob=0, scale=(1, 1), rotation_prob=0, half_body=0, dropout=0,
        hsv=(0, 0, 0), blur=0, median_blur=0,
    )  # fmt: skip
    path = save(tmp_path, coco())
    dataset = pose_set(path, augment=WILD, final_augment=still, final_epoch=2)
    plain = pose_set(path)[0]["crop"]
    assert not np.array_equal(dataset[1, 0]["crop"], plain)
    assert np.array_equal(dataset[2, 0]["crop"], plain)


def test_decoded_images_stay_within_the_budget_and_out_of_pickles(tmp_path: Path) -> None:
    size = 320 * 240 * 3
    dataset = pose_set(save(tmp_path, coco()), cache_mb=2.5 * size / 2**20)
    fresh = len(pickle.dumps(dataset))
    for i in range(4):
        dataset[i]
    assert len(dataset._images.images) == 2
    assert len(pickle.dumps(dataset)) < fresh + size / 10


def test_a_broken_image_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:200])
    (tmp_path / "2.png").write_bytes(b"not an image")
    (tmp_path / "3.png").unlink()
    dataset = pose_set(path)
    for index, why in ((1, "cannot be decoded"), (2, "cannot be decoded"), (3, "cannot be read")):
        with pytest.raises(InputError, match=rf"{index}\.png \(id 1{index}\) {why}"):
            dataset[index]


def test_sets_are_mixed_by_keypoint_names(tmp_path: Path) -> None:
    other = coco()
    other["categories"][0]["keypoints"] = ["R_Hip", "Nose", "L_Eye", "eye_r", "tail"]
    sources = parse_sources([save(tmp_path / "a", coco()), save(tmp_path / "b", other)])
    dataset = PoseDataset(sources, skeleton_of(sources[0].annotations), input_size=SIZE)
    sample = dataset[4]
    assert len(dataset) == 8
    assert sample["source"] == 1
    raw = np.array(other["annotations"][0]["keypoints"], np.float32).reshape(-1, 3)[:, :2]
    assert sample["image_visible"].tolist() == [1, 1, 1, 0, 1]  # no left hip
    np.testing.assert_array_equal(sample["image_keypoints"][[0, 1, 2, 4]], raw[[1, 2, 3, 0]])


def test_a_written_mapping_averages_keypoints(tmp_path: Path) -> None:
    data = coco(2)
    data["annotations"][1]["keypoints"][11] = 0  # left hip is not labelled
    source = {
        "annotations": save(tmp_path, data),
        "mapping": {"hip": ["left_hip", "right_hip"], "nose": 0, "left_eye": None},
    }
    halpe26 = load_skeleton("halpe26")
    dataset = PoseDataset(parse_sources(source), halpe26, input_size=SIZE)
    hip, nose = halpe26.names.index("hip"), halpe26.names.index("nose")
    raw = np.array(data["annotations"][0]["keypoints"], np.float32).reshape(-1, 3)[:, :2]
    np.testing.assert_allclose(dataset[0]["image_keypoints"][hip], (raw[3] + raw[4]) / 2)
    np.testing.assert_allclose(dataset[0]["image_keypoints"][nose], raw[0])
    named = [halpe26.names[k] for k in np.flatnonzero(dataset[0]["image_visible"])]
    assert named == ["nose", "right_eye", "left_hip", "right_hip", "hip"]
    assert dataset[1]["image_visible"][hip] == 0  # half of it is unknown


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"noze": "nose"}, "has no 'noze'; did you mean nose"),
        ({"nose": "noze"}, "has no keypoint 'noze'; did you mean nose"),
        ({"nose": 5}, "has no keypoint 5"),
    ],
)
def test_a_wrong_mapping_is_an_error(tmp_path: Path, mapping: Any, message: str) -> None:
    source = parse_sources({"annotations": save(tmp_path, coco()), "mapping": mapping})
    with pytest.raises(InputError, match=message):
        PoseDataset(source, load_skeleton("coco"), input_size=SIZE)


def test_sets_without_a_common_keypoint_are_an_error(tmp_path: Path) -> None:
    source = parse_sources(save(tmp_path, coco()))
    with pytest.raises(InputError, match="no keypoint has a name of the skeleton 'cofw'"):
        PoseDataset(source, load_skeleton("cofw"), input_size=SIZE)


def test_a_skeleton_is_read_from_the_categories(tmp_path: Path) -> None:
    skeleton = skeleton_of(save(tmp_path, coco()))
    assert list(skeleton.names) == NAMES
    assert skeleton.flip_indices == (0, 2, 1, 4, 3)
    assert skeleton.links == ((0, 1), (0, 2), (1, 3), (2, 4))


def test_a_skeleton_of_the_users_own_yaml_names_the_keypoints(tmp_path: Path) -> None:
    (tmp_path / "keypoints").mkdir()
    yaml = tmp_path / "keypoints" / "mine.yaml"
    rows = "\n".join(f"  - [{name}, [0, 0, 0]]" for name in "abcde")
    yaml.write_text(f"keypoints:\n{rows}\nflip_pairs: [[b, c]]\n")
    config = {"skeleton": str(yaml), "train": save(tmp_path / "set", coco())}
    skeleton = dataset_skeleton(parse_dataset(config))
    assert skeleton.names == tuple("abcde")
    assert skeleton.flip_indices == (0, 2, 1, 3, 4)


def test_repeats_multiply_and_fractions_take_turns(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a", coco(4)), save(tmp_path / "b", coco(4))
    sources = parse_sources([{"annotations": a, "repeat": 2}, {"annotations": b, "repeat": 0.5}])
    dataset = PoseDataset(sources, skeleton_of(a), input_size=SIZE)
    assert len(dataset) == 10
    ids = [dataset[0, i]["annotation_id"] for i in range(8)]
    assert sorted(ids) == [100, 100, 101, 101, 102, 102, 103, 103]
    turns = {int(dataset[epoch, 8 + i]["annotation_id"]) for epoch in range(2) for i in range(2)}
    assert turns == {100, 101, 102, 103}


def test_detected_boxes_replace_the_labelled_ones(tmp_path: Path) -> None:
    path = save(tmp_path, coco(2))
    found = [
        {"image_id": 11, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.9},
        {"image_id": 10, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.1},
        {"image_id": 10, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.9},
    ]
    boxes = tmp_path / "detections.json"
    boxes.write_text(json.dumps(found))
    source = {"annotations": path, "boxes": str(boxes), "box_threshold": 0.5}
    dataset = PoseDataset(parse_sources(source), skeleton_of(path), input_size=SIZE)
    assert len(dataset) == 1
    assert dataset[0]["bbox"].tolist() == [10, 20, 40, 60]
    assert dataset[0]["image_id"] == 11
    assert dataset[0]["bbox_score"] == np.float32(0.9)
    with pytest.raises(InputError, match="to evaluate only"):
        PoseDataset(
            parse_sources(source), skeleton_of(path), input_size=SIZE, augment=PoseAugment()
        )


def test_published_sets_are_read(shared: Path) -> None:
    folder = shared / "annotations"
    five = ["keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"]
    expected = {
        "coco": ("test_coco.json", None, 12),
        "coco_wholebody": ("test_coco_wholebody.json", five, 12),
        "ap10k": ("test_ap10k.json", None, 1),
        "cofw": ("test_cofw.json", None, 1),
        "onehand10k": ("test_onehand10k.json", None, 1),
    }
    for name, (file, fields, count) in expected.items():
        source = {"annotations": str(folder / file), "fields": fields, "skip_bad": True}
        if name != "ap10k":  # whose own names are matched instead
            source["skeleton"] = name
        dataset = PoseDataset(parse_sources(source), load_skeleton(name), input_size=SIZE)
        assert len(dataset) == count
        for i in range(count):
            assert dataset[i]["visible"].any()
    wholebody = parse_sources(
        {
            "annotations": str(folder / "test_coco_wholebody.json"),
            "skeleton": "coco_wholebody",
            "fields": five,
        }
    )
    sample = PoseDataset(wholebody, load_skeleton("coco_wholebody"), input_size=SIZE)[0]
    assert sample["image_keypoints"].shape == (133, 2)
    assert sample["image_keypoints"][17].tolist() == [439, 378]  # the first of foot_kpts
    np.testing.assert_allclose(sample["image_keypoints"][23], [355.823, 75.36], rtol=1e-6)


def test_halpe_gives_its_first_26_keypoints(tmp_path: Path) -> None:
    data = coco(1)
    points = np.stack([np.arange(136) + 50, np.full(136, 99), np.full(136, 2)], axis=1)
    data["annotations"][0]["keypoints"] = points.ravel().tolist()
    data["categories"][0]["keypoints"] = []
    source = {"annotations": save(tmp_path, data), "skeleton": "halpe"}
    halpe26 = PoseDataset(parse_sources(source), load_skeleton("halpe26"), input_size=SIZE)
    np.testing.assert_array_equal(halpe26[0]["image_keypoints"], points[:26, :2])
    halpe = PoseDataset(parse_sources(source), load_skeleton("halpe"), input_size=SIZE)
    np.testing.assert_array_equal(halpe[0]["image_keypoints"], points[:, :2])


def test_published_detections_are_read(shared: Path) -> None:
    folder = shared / "annotations"
    source = {
        "annotations": str(folder / "test_coco.json"),
        "boxes": str(folder / "test_coco_det_AP_H_56.json"),
    }
    dataset = PoseDataset(parse_sources(source), load_skeleton("coco"), input_size=SIZE)
    first = json.loads((folder / "test_coco_det_AP_H_56.json").read_text())[0]
    x, y, w, h = first["bbox"]
    assert len(dataset) == 118
    np.testing.assert_allclose(dataset[0]["bbox"], [x, y, x + w, y + h], rtol=1e-6)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_share_an_epoch_without_overlap(ranks: int) -> None:
    samplers = [ResumableSampler(20, seed=7, rank=rank, ranks=ranks) for rank in range(ranks)]
    taken = [list(sampler) for sampler in samplers]
    assert [len(part) for part in taken] == [len(sampler) for sampler in samplers]
    assert {len(part) for part in taken} == {20 // ranks}
    assert len({key for part in taken for key in part}) == 20 // ranks * ranks


def test_evaluation_leaves_no_sample_out() -> None:
    samplers = [
        ResumableSampler(7, shuffle=False, rank=rank, ranks=3, even=False) for rank in range(3)
    ]
    assert sorted(index for sampler in samplers for _, index in sampler) == list(range(7))


def test_a_sampler_resumes_in_the_middle_on_other_ranks() -> None:
    whole = list(ResumableSampler(24, seed=5))
    sampler = ResumableSampler(24, seed=5)
    sampler.advance(8)
    state = json.loads(json.dumps(sampler.state_dict()))
    rest = []
    for rank in range(2):
        resumed = ResumableSampler(24, seed=5, rank=rank, ranks=2)
        resumed.load_state_dict(state)
        assert len(resumed) == 8
        rest.append(list(resumed))
    interleaved = [key for pair in zip(*rest, strict=True) for key in pair]
    assert interleaved == whole[8:]


def test_each_epoch_has_an_order_of_its_own() -> None:
    sampler = ResumableSampler(30, seed=5)
    first = [index for _, index in sampler]
    sampler.start_epoch(1)
    assert {epoch for epoch, _ in sampler} == {1}
    assert [index for _, index in sampler] != first


def test_a_sampler_refuses_the_state_of_other_data() -> None:
    state = ResumableSampler(30, seed=5).state_dict()
    with pytest.raises(InputError, match="started with length 30, now it is 31"):
        ResumableSampler(31, seed=5).load_state_dict(state)
    with pytest.raises(InputError, match="seed"):
        ResumableSampler(30, seed=6).load_state_dict(state)
    with pytest.raises(InputError, match="too few"):
        ResumableSampler(1, ranks=2)


def detection_set(folder: Path, **options: Any) -> DetectionDataset:
    """Each image is grey with one bright box."""
    folder.mkdir(exist_ok=True)
    data = coco(8, per_image=1)
    for i, annotation in enumerate(data["annotations"]):
        annotation["bbox"] = [60 + 4 * i, 50, 120, 90]
        pixels = np.full((240, 320, 3), 60, np.uint8)
        pixels[50:140, 60 + 4 * i : 180 + 4 * i] = 250
        cv2.imwrite(str(folder / f"{i}.png"), pixels)
    return DetectionDataset(
        parse_sources(save(folder, data)), ["person"], input_size=(160, 160), **options
    )


def test_evaluation_images_are_letterboxed_as_the_detector_does(tmp_path: Path) -> None:
    sample = detection_set(tmp_path)[3]
    expected = np.empty((160, 160, 3), np.uint8)
    factors = letterbox(cv2.imread(str(tmp_path / "3.png")), expected, 114)
    assert np.array_equal(sample["image"], expected)
    assert tuple(sample["factor"]) == factors
    assert sample["boxes"].tolist() == [[36, 25, 96, 70]]
    assert sample["original_size"].tolist() == [320, 240]


@pytest.mark.parametrize("mosaic", [True, False])
def test_augmented_boxes_stay_on_their_objects(tmp_path: Path, mosaic: bool) -> None:
    augment = DetectionAugment(mosaic=mosaic, mixup=0, hsv=(0, 0, 0))
    dataset = detection_set(tmp_path, augment=augment)
    boxes = 0
    for epoch in range(12):
        sample = dataset[epoch, epoch % 8]
        covered = np.zeros((160, 160), bool)
        for x1, y1, x2, y2 in sample["boxes"]:
            covered[round(y1) : round(y2), round(x1) : round(x2)] = True
        bright = sample["image"][..., 0] > 155
        # Borders blur over a pixel; slivers under a pixel have no box.
        assert (bright ^ covered).sum() <= 4 * 2 * 160 * 0.25
        boxes += len(sample["boxes"])
    assert boxes >= (20 if mosaic else 10)


def test_mixup_joins_the_boxes_of_two_samples(tmp_path: Path) -> None:
    single = detection_set(tmp_path, augment=DetectionAugment(mixup=0, flip=0))
    mixed = detection_set(tmp_path, augment=DetectionAugment(mixup=1, flip=0))
    for index in range(8):
        one, both = single[0, index]["boxes"], mixed[0, index]["boxes"]
        assert np.array_equal(both[: len(one)], one)
    assert sum(len(mixed[0, i]["boxes"]) > len(single[0, i]["boxes"]) for i in range(8)) > 3


def test_mosaics_are_the_same_in_any_order_and_from_an_empty_cache(tmp_path: Path) -> None:
    first = detection_set(tmp_path, augment=DetectionAugment())
    second = detection_set(tmp_path, augment=DetectionAugment(), cache_mb=0)
    expected = [first[2, i] for i in range(8)]
    assert all(same(second[2, i], expected[i]) for i in reversed(range(8)))


def test_boxes_of_a_batch_stay_a_list(tmp_path: Path) -> None:
    dataset = detection_set(tmp_path, augment=DetectionAugment())
    batch = collate([dataset[0, i] for i in range(3)])
    assert batch["image"].shape == (3, 160, 160, 3)
    assert [len(boxes) for boxes in batch["boxes"]] == [len(labels) for labels in batch["labels"]]


def test_a_detector_needs_one_of_its_classes(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    with pytest.raises(InputError, match="has the categories person; expected cat, dog"):
        DetectionDataset(parse_sources(path), ["cat", "dog"], input_size=(160, 160))


def lifting_file(folder: Path, **changes: Any) -> str:
    rng = np.random.default_rng(0)
    arrays = {
        "keypoints_2d": rng.uniform(0, 100, (2, 10, 5, 2)),
        "keypoints_3d": rng.normal(size=(2, 10, 5, 3)),
        "image_size": np.array([100, 80]),
        "lengths": np.array([10, 3]),
    } | changes
    path = folder / "poses.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return str(path)


@pytest.fixture
def five(tmp_path: Path) -> Skeleton:
    return skeleton_of(save(tmp_path / "five", coco()))


def test_sequences_are_cut_into_windows(tmp_path: Path, five: Skeleton) -> None:
    dataset = LiftingDataset([lifting_file(tmp_path)], five, window=4, stride=3)
    starts = [(int(dataset[i]["sequence"]), int(dataset[i]["start"])) for i in range(len(dataset))]
    assert starts == [(0, 0), (0, 3), (0, 6), (1, 0)]
    last = dataset[3]
    assert last["valid"].tolist() == [1, 1, 1, 0]
    assert np.array_equal(last["keypoints_2d"][3], last["keypoints_2d"][2])
    assert last["keypoints_2d"].shape == (4, 5, 2)
    assert last["scores"].tolist() == np.ones((4, 5)).tolist()


def test_a_mirrored_sequence_swaps_sides(tmp_path: Path, five: Skeleton) -> None:
    path = lifting_file(tmp_path)
    plain = LiftingDataset([path], five, window=4)[0]
    mirrored = LiftingDataset([path], five, window=4, flip=1)[0]
    np.testing.assert_allclose(
        mirrored["keypoints_2d"][:, 1, 0], 100 - plain["keypoints_2d"][:, 2, 0], rtol=1e-6
    )
    np.testing.assert_allclose(mirrored["keypoints_3d"][:, 1, 0], -plain["keypoints_3d"][:, 2, 0])
    np.testing.assert_allclose(mirrored["keypoints_3d"][:, 1, 1:], plain["keypoints_3d"][:, 2, 1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints_3d": None}, "'keypoints_3d' is missing"),
        ({"image_size": np.array([0, 80])}, r"image_size: expected .* above 0, .*sequence 0"),
        ({"image_size": np.array([[9, 8], [np.nan, 8]])}, r"image_size: .*sequence 1"),
        ({"factor": np.zeros(2)}, "factor: expected positive numbers"),
        ({"keypoints_2d": np.zeros((2, 10, 4, 2))}, r"shape \(N, T, 5, 2 or 3\), found"),
        ({"keypoints_3d": np.zeros((2, 9, 5, 3))}, r"keypoints_3d: expected"),
        ({"keypoints_3d": np.full((2, 10, 5, 3), np.nan)}, "not finite in 2 sequences: 0, 1"),
        ({"lengths": np.array([10, 11])}, r"lengths: expected 2 numbers 1\.\.10"),
        ({"image_size": np.zeros(3)}, "image_size"),
    ],
)
def test_wrong_sequences_are_errors(
    tmp_path: Path, five: Skeleton, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        LiftingDataset([lifting_file(tmp_path, **changes)], five)


def test_a_factor_brings_3d_keypoints_to_half_widths(
    tmp_path: Path, five: Skeleton, caplog: pytest.LogCaptureFixture
) -> None:
    path = lifting_file(tmp_path, factor=np.array([4.0, 2.0]))
    plain = LiftingDataset([path], five, scaled=False)[1]["keypoints_3d"]
    scaled = LiftingDataset([path], five)[1]["keypoints_3d"]
    np.testing.assert_allclose(scaled, plain / (2 * 100 / 2), rtol=1e-6)
    assert not caplog.records


def test_millimetres_are_a_warning(
    tmp_path: Path, five: Skeleton, caplog: pytest.LogCaptureFixture
) -> None:
    poses = np.random.default_rng(0).normal(size=(2, 10, 5, 3)) * 500
    LiftingDataset([lifting_file(tmp_path, keypoints_3d=poses)], five)
    assert "are they in millimetres? Give 'factor'" in caplog.text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_named_through_a_worker(tmp_path: Path, workers: int) -> None:
    path = save(tmp_path, coco(1))
    (tmp_path / "0.png").write_bytes(b"no image")
    dataset = PoseDataset(parse_sources(path), skeleton_of(path), input_size=SIZE)
    loader: DataLoader[dict[str, Any]] = DataLoader(
        dataset, collate_fn=collate, num_workers=workers
    )
    with pytest.raises(InputError, match=r"^a sample cannot be used: image .*0\.png") as found:
        list(batches(loader))
    assert "Traceback" not in str(found.value)


def test_a_damaged_npz_is_an_error(tmp_path: Path, five: Skeleton) -> None:
    path = Path(lifting_file(tmp_path))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"poses\.npz"):
        LiftingDataset([str(path)], five)
