"""CVAT's XML."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import cv2
import pytest

import posekit
from posekit.errors import InputError
from posekit.io.video import VideoWriter
from tests.labelling.truth import NAMES, PEOPLE, SIZE, Truth, check, draw, read

SVG = (
    "".join(
        f'<circle data-type="element node" data-element-id="{i}" data-node-id="{i}" '
        f'data-label-name="{name}"></circle>'
        for i, name in enumerate(NAMES, 1)
    )
    + '<line data-type="edge" data-node-from="1" data-node-to="2"></line>'
    + '<line data-type="edge" data-node-from="1" data-node-to="3"></line>'
)
LABELS = (
    "<labels><label><name>person</name><type>skeleton</type><svg>"
    + SVG.replace("<", "&lt;").replace(">", "&gt;")
    + "</svg></label>"
    + "".join(
        f"<label><name>{name}</name><type>points</type><parent>person</parent></label>"
        for name in NAMES
    )
    + "</labels>"
)


def skeleton(person: Truth, head: str = 'label="person"', shift: float = 0) -> str:
    parts = "".join(
        f'<points label="{name}" source="manual" outside="{int(v == 0)}" occluded="{int(v == 1)}" '
        f'points="{x + shift:.2f},{y:.2f}"></points>'
        # As CVAT does, in an order of its own.
        for name, (x, y, v) in reversed(list(zip(NAMES, person.points, strict=True)))
    )
    return f'<skeleton {head} source="manual" z_order="0">{parts}</skeleton>'


def images(extra: str = "", labels: str = LABELS) -> str:
    pictures = "".join(
        f'<image id="{i}" name="{name}" width="{SIZE[0]}" height="{SIZE[1]}">'
        + "".join(skeleton(person) for person in PEOPLE if person.image == name)
        + (extra if name == "a.png" else "")
        + "</image>"
        for i, name in enumerate(("a.png", "b.png", "empty.png"))
    )
    meta = f"<meta><task><name>t</name>{labels}</task><dumped>2024</dumped></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    return f"{head}{meta}{pictures}</annotations>"


def write(folder: Path, text: str) -> Path:
    draw(folder / "images")
    (folder / "annotations.xml").write_text(text, encoding="utf-8")
    return folder / "annotations.xml"


def test_skeletons_on_images(tmp_path: Path) -> None:
    found = posekit.labels(write(tmp_path, images()), out=tmp_path / "coco.json")
    content = check(tmp_path / "coco.json", boxes=False)
    assert content["categories"][0]["skeleton"] == [[1, 2], [1, 3]]
    assert found.counts[""]["without labels"] == 1
    posekit.labels(tmp_path, out=tmp_path / "folder.json")
    check(tmp_path / "folder.json", boxes=False)


def test_without_a_head_the_first_skeleton_gives_the_order(tmp_path: Path) -> None:
    posekit.labels(write(tmp_path, images(labels="")), out=tmp_path / "coco.json")
    assert read(tmp_path / "coco.json")["categories"][0]["keypoints"] == list(NAMES[::-1])
    posekit.labels(tmp_path, out=tmp_path / "coco.json", keypoints=list(NAMES))
    check(tmp_path / "coco.json", boxes=False)


def test_points_and_boxes_of_a_group(tmp_path: Path) -> None:
    pictures = ""
    for i, name in enumerate(("a.png", "b.png")):
        pictures += f'<image id="{i}" name="{name}" width="{SIZE[0]}" height="{SIZE[1]}">'
        for group, person in enumerate((p for p in PEOPLE if p.image == name), 1):
            x, y, w, h = person.box
            pictures += (
                f'<box label="person" occluded="0" group_id="{group}" '
                f'xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"></box>'
            )
            for label, (px, py, v) in zip(NAMES, person.points, strict=True):
                if v:
                    pictures += (
                        f'<points label="{label}" occluded="{int(v == 1)}" group_id="{group}" '
                        f'points="{px},{py}"></points>'
                    )
        pictures += "</image>"
    path = write(tmp_path, f"<annotations>{pictures}</annotations>")
    posekit.labels(path, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")


def test_boxes_beside_skeletons_are_theirs_by_group(tmp_path: Path) -> None:
    """Two people with a box of their group each, and a box of nobody."""
    pictures = f'<image id="0" name="a.png" width="{SIZE[0]}" height="{SIZE[1]}">'
    for group, person in enumerate(PEOPLE[:2], 1):
        x, y, w, h = person.box
        pictures += (
            f'<box label="person" group_id="{group}" xtl="{x}" ytl="{y}" xbr="{x + w}" '
            f'ybr="{y + h}"></box>' + skeleton(person, f'label="person" group_id="{group}"')
        )
    pictures += '<box label="person" xtl="1" ytl="1" xbr="9" ybr="9"></box></image>'
    text = f"<annotations><meta>{LABELS}</meta>{pictures}</annotations>"
    found = posekit.labels(write(tmp_path, text), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", people=PEOPLE[:2])
    assert any("boxes that are in no skeleton's group" in note for note in found.notes)


def video(tracks: str) -> str:
    size = f"<original_size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></original_size>"
    meta = f"<meta><task>{LABELS}{size}</task><source>walk.mp4</source></meta>"
    return f"<annotations><version>1.1</version>{meta}{tracks}</annotations>"


def tracks() -> str:
    frames = "".join(
        skeleton(PEOPLE[0], f'frame="{at}" keyframe="1"', shift=at) for at in (0, 1, 3)
    )
    gone = skeleton(PEOPLE[1], 'frame="4" outside="1" keyframe="1"')
    return f'<track id="7" label="person" source="manual">{frames}{gone}</track>'


def write_clip(path: Path, frames: int = 6) -> None:
    picture = cv2.imread(str(draw(path.parent) / "a.png"))
    with VideoWriter(path, fps=Fraction(10), size=SIZE) as clip:
        for number in range(frames):
            picture[:20, :20] = 40 * number
            clip.write(picture, number / 10)


@pytest.mark.parametrize("named", [False, True])
def test_tracks_on_a_video_get_its_frames(tmp_path: Path, named: bool) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "annotations.xml").write_text(video(tracks()))
    write_clip(tmp_path / "other.mp4" if named else folder / "walk.mp4")
    out = tmp_path / "coco.json"
    images = tmp_path / "other.mp4" if named else None
    found = posekit.labels(folder / "annotations.xml", out=out, images=images)
    content = read(out)
    names = [image["file_name"] for image in content["images"]]
    assert names == [f"coco_frames/walk/00000{at}.jpg" for at in (0, 1, 3)]
    assert [one["keypoints"][0] for one in content["annotations"]] == [50, 51, 53]
    assert [one["keypoints"][8] for one in content["annotations"]] == [1, 1, 1]
    assert [one["track_id"] for one in content["annotations"]] == [7, 7, 7]
    # The grey corner tells which frame it is.
    corners = [cv2.imread(str(tmp_path / name))[5, 5, 0] for name in names]
    assert [round(int(corner) / 40) for corner in corners] == [0, 1, 3]
    assert any("frames in which a track is outside" in note for note in found.notes)


def test_frames_as_cvat_exports_them_are_taken_as_they_are(tmp_path: Path) -> None:
    picture = draw(tmp_path) / "a.png"
    (tmp_path / "images").mkdir()
    for at in (0, 1, 3):
        (tmp_path / "images" / f"frame_{at:06d}.PNG").write_bytes(picture.read_bytes())
    (tmp_path / "annotations.xml").write_text(video(tracks()))
    posekit.labels(tmp_path / "annotations.xml", out=tmp_path / "coco.json")
    names = [image["file_name"] for image in read(tmp_path / "coco.json")["images"]]
    assert names == [f"images/frame_00000{at}.PNG" for at in (0, 1, 3)]


def test_a_box_track_is_of_the_skeleton_track_in_its_group(tmp_path: Path) -> None:
    """CVAT writes `group_id` with a track, not with its shapes."""
    x, y, w, h = PEOPLE[0].box
    corners = f'xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"'
    box = f'<box frame="0" keyframe="1" outside="0" occluded="0" {corners} z_order="0"></box>'
    shapes = skeleton(PEOPLE[0], 'frame="0" keyframe="1"')
    two = (
        f'<track id="0" label="person" source="manual" group_id="4">{shapes}</track>'
        f'<track id="1" label="person" source="manual" group_id="4">{box}</track>'
    )
    (tmp_path / "annotations.xml").write_text(video(two))
    write_clip(tmp_path / "walk.mp4", frames=1)
    posekit.labels(tmp_path / "annotations.xml", out=tmp_path / "coco.json")
    (one,) = read(tmp_path / "coco.json")["annotations"]
    assert one["bbox"] == list(PEOPLE[0].box) and one["track_id"] == 0


def test_a_turned_box_is_the_upright_one_around_it(tmp_path: Path) -> None:
    """By a quarter around its centre: 110 x 60 at (45, 55) reaches from (70, 30) to (130, 140)."""
    points = skeleton(PEOPLE[2], 'label="person" group_id="1"')
    box = (
        '<box label="person" xtl="45.00" ytl="55.00" xbr="155.00" ybr="115.00" rotation="90.00" '
        'group_id="1"></box>'
    )
    size = f'width="{SIZE[0]}" height="{SIZE[1]}"'
    text = f'<annotations><meta>{LABELS}</meta><image id="0" name="b.png" {size}>{points}{box}'
    path = write(tmp_path, f"{text}</image></annotations>")
    posekit.labels(path, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", people=PEOPLE[2:])


def test_frames_of_several_videos_of_a_project_are_kept_apart(tmp_path: Path) -> None:
    tasks = "".join(
        f"<task><id>{number}</id><source>{name}</source><original_size><width>{SIZE[0]}</width>"
        f"<height>{SIZE[1]}</height></original_size></task>"
        for number, name in ((3, "walk.mp4"), (5, "run.mp4"))
    )
    found = "".join(
        f'<track id="{i}" label="person" task_id="{task}" subset="{subset}">'
        + skeleton(person, 'frame="0" keyframe="1"')
        + "</track>"
        for i, (task, subset, person) in enumerate(
            ((3, "Train", PEOPLE[0]), (5, "Validation", PEOPLE[1]))
        )
    )
    meta = f"<meta><project>{LABELS}<tasks>{tasks}</tasks></project></meta>"
    (tmp_path / "annotations.xml").write_text(f"<annotations>{meta}{found}</annotations>")
    for name in ("walk.mp4", "run.mp4"):
        write_clip(tmp_path / name, frames=1)
    made = posekit.labels(tmp_path / "annotations.xml", out=tmp_path / "coco.json")
    names = [read(path)["images"][0]["file_name"] for path in made.files.values()]
    assert list(made.files) == ["train", "val"]
    assert names == ["coco_frames/walk/000000.jpg", "coco_frames/run/000000.jpg"]
    (one,) = read(made.files["val"])["annotations"]
    assert one["keypoints"][:2] == [150, 30]


def test_frames_of_a_video_labelled_as_images_are_taken_from_it(tmp_path: Path) -> None:
    text = images().replace('name="a.png"', 'name="frame_000002"')
    text = text.replace("</task>", "<source>walk.mp4</source></task>")
    (tmp_path / "annotations.xml").write_text(re.sub(r'<image id="[12]".*?</image>', "", text))
    write_clip(tmp_path / "walk.mp4", frames=3)
    posekit.labels(tmp_path / "annotations.xml", out=tmp_path / "coco.json")
    (image,) = read(tmp_path / "coco.json")["images"]
    assert image["file_name"] == "coco_frames/walk/000002.jpg" and image["frame_id"] == 2


def test_a_video_that_is_not_there_or_too_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(video(tracks()))
    with pytest.raises(InputError, match=r"frames of 'walk.mp4', which is not there; name it"):
        posekit.labels(tmp_path / "annotations.xml", out=tmp_path / "coco.json")
    write_clip(tmp_path / "walk.mp4", frames=2)
    with pytest.raises(InputError, match=r"frames that .*walk.mp4 does not have: 3"):
        posekit.labels(tmp_path / "annotations.xml", out=tmp_path / "coco.json")
    assert not (tmp_path / "coco.json").exists()


def test_other_shapes_are_left_out_with_a_note(tmp_path: Path) -> None:
    extra = '<polygon label="person" points="1,2;3,4;5,6"></polygon>'
    extra += '<points label="nose" points="1,2;3,4"></points>'
    found = posekit.labels(write(tmp_path, images(extra)), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", boxes=False)
    assert any("of the kind 'polygon', left out" in note for note in found.notes)
    assert any("points of several places, left out" in note for note in found.notes)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('points="50.00,20.00"', 'points="50.00"', "image a.png: expected points as x,y"),
        ('points="50.00,20.00"', 'points="x,20"', "image a.png: expected a number as x"),
        ('label="nose"', 'label="left_hand"', "'left_hand' is twice in a skeleton"),
    ],
)
def test_a_broken_shape_is_named(tmp_path: Path, old: str, new: str, what: str) -> None:
    path = write(tmp_path, images().replace(old, new, 1))
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(path, out=tmp_path / "coco.json")
    assert "\n" not in str(error.value)
    found = posekit.labels(path, out=tmp_path / "coco.json", skip_bad=True)
    assert found.counts[""]["people"] == 2


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{10 * f"&{chr(97 + i)};"}">' for i in range(9))
    + "]><annotations>&j;</annotations>"
)
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", [BOMB, FILE])
def test_entities_are_refused(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_bytes(text.replace('<?xml version="1.0"?>', "").encode(encoding))
    with pytest.raises(InputError, match="declares a document type, which is not supported"):
        posekit.labels(path, out=tmp_path / "coco.json")


def test_xml_that_is_cut_off_is_named_by_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, images()[:-30])
    with pytest.raises(InputError, match=r"annotations.xml is not valid XML: line 2"):
        posekit.labels(path, out=tmp_path / "coco.json")


def test_nothing_but_outside_is_nobody(tmp_path: Path) -> None:
    gone = Truth("empty.png", tuple((0, 0, 0) for _ in NAMES), (0, 0, 0, 0))
    text = images().replace("</image></annotations>", f"{skeleton(gone)}</image></annotations>")
    found = posekit.labels(write(tmp_path, text), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", boxes=False)
    assert any("outside with all their points" in note for note in found.notes)


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "²", "-1", "1e400"])
def test_numbers_that_are_none_or_too_large_are_one_line(number: str, tmp_path: Path) -> None:
    text = re.sub(r' frame="\d"', f' frame="{number}"', video(tracks()))
    text = text.replace("<width>", f"<width>{number}").replace(
        '<track id="7"', f'<track id="{number}"'
    )
    (tmp_path / "annotations.xml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        posekit.labels(tmp_path / "annotations.xml", out=tmp_path / "coco.json")
    assert "shapes of a track without a frame" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1200
