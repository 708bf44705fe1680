"""Every dataset on drawings in its exact layout: sizes, splits, positions, errors."""

import json
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from common.errors import DataError
from common.files.points import read_pts
from common.files.tables import choose_split
from datasets.detection.detect import Detection
from datasets.detection.first_faces import FirstFaces
from datasets.leaks import LEAKED_300W
from datasets.readers.aflw import Aflw
from datasets.readers.folder import Folder
from datasets.registry import DATASETS, build_dataset
from datasets.sample import cut_sample
from datasets.synthetic.layouts import WRITERS, jpeg, save_photo, to_19, write_tar
from geometry.schemes import get_scheme

SIZES = {  # dataset, split, crop source → how many of 6 drawings
    ("w300", "train", "bb_ground_truth"): 18,
    ("w300", "common", "bb_detector"): 12,
    ("w300", "challenging", "lm_ground_truth"): 6,
    ("w300", "full", "lm_ground_truth"): 18,
    ("w300", "300w", "lm_ground_truth"): 12,
    ("wflw", "train", "bb_ground_truth"): 6,
    ("wflw", "full", "lm_ground_truth"): 6,
    ("wflw", "make-up", "bb_ground_truth"): 1,
    ("aflw", "full", "bb_ground_truth"): 6,
    ("aflw", "frontal", "bb_ground_truth"): 5,
    ("vggface2", "train", "bb_ground_truth"): 6,
    ("vggface2", "test", "bb_ground_truth"): 6,
    ("affectnet", "train", "bb_ground_truth"): 5,
    ("wlp300", "train", "lm_ground_truth"): 5,
    ("wlp300", "val", "bb_ground_truth"): 1,
    ("aflw20003d", "full", "bb_ground_truth"): 6,
    ("aflw20003d", "0_to_30", "bb_ground_truth"): 2,
    ("aflw20003d", "30_to_60", "bb_ground_truth"): 2,
    ("aflw20003d", "60_to_90", "bb_ground_truth"): 2,
    ("menpo2d", "train", "bb_ground_truth"): 6,
    ("menpo2d", "unlabeled", "bb_ground_truth"): 6,
    ("menpo", "full", "bb_ground_truth"): 12,
    ("ls3d", "full", "bb_ground_truth"): 6,
    ("palsy", "labeled_3", "bb_ground_truth"): 6,
    ("palsy", "3", "bb_ground_truth"): 6,
    ("palsy", "unlabeled", "bb_ground_truth"): 6,
    ("palsy", "parface", "lm_ground_truth"): 6,
    ("neuroface", "full", "bb_ground_truth"): 6,
    ("meei", "full", "bb_ground_truth"): 6,
    ("celeba", "full", "bb_ground_truth"): 6,
    ("ffhq", "full", "bb_ground_truth"): 6,
    ("youtube_faces", "train", "lm_ground_truth"): 6,
    ("youtube_faces", "unlabeled", "lm_ground_truth"): 13,
    ("folder", "full", "lm_ground_truth"): 6,
}


@pytest.mark.parametrize(("key", "split", "crop_source"), SIZES)
def test_split_has_its_size_and_crops(drawn, key, split, crop_source):
    root, _ = drawn(key)
    dataset = build_dataset(key, root, split, 64, crop_source)
    assert len(dataset) == SIZES[key, split, crop_source]
    sample = dataset[0]
    assert sample.image.shape == (91, 91, 3) and sample.image.dtype == np.uint8
    assert sample.image.std() > 5, "the crop shows something"
    assert str(len(dataset)) in repr(dataset)


def test_every_key_of_the_spec_is_registered_and_drawn():
    assert set(DATASETS) == set(WRITERS) | {"synthetic", "synthetic3d"}


POINTS = {  # dataset, split → its landmarks from the 68 drawn ones
    ("w300", "train"): lambda f: f.landmarks[:, :2],
    ("wflw", "train"): lambda f: f.landmarks_98,
    ("wlp300", "train"): lambda f: f.landmarks,
    ("aflw20003d", "full"): lambda f: f.landmarks,
    ("ls3d", "full"): lambda f: f.landmarks[:, :2],
    ("menpo", "train"): lambda f: f.landmarks_98[:84],
    ("palsy", "full"): lambda f: f.landmarks,
    ("neuroface", "full"): lambda f: f.landmarks[:, :2],
    ("youtube_faces", "train"): lambda f: f.landmarks[:, :2],
    ("folder", "full"): lambda f: f.landmarks[:, :2],
}


@pytest.mark.parametrize(("key", "split"), POINTS)
def test_landmarks_are_in_continuous_photo_pixels(drawn, key, split):
    root, faces = drawn(key)
    dataset = build_dataset(key, root, split, 64, "bb_ground_truth")
    for annotation, face in zip(dataset.annotations[: len(faces)], faces, strict=False):
        np.testing.assert_allclose(annotation.landmarks, POINTS[key, split](face), atol=2e-3)


def test_aflw_points_boxes_and_visibility(drawn):
    root, faces = drawn("aflw")
    dataset = Aflw(root, "full", 64)
    first = dataset.annotations[0]
    face = faces[20_000 % len(faces)]
    np.testing.assert_allclose(first.landmarks, to_19(face.landmarks[:, :2]), atol=2e-3)
    np.testing.assert_allclose(first.box, face.box, atol=2e-3)
    assert first.visibility[0] == 0 and first.visibility[1:].all()
    assert len(Aflw(root, "train", 64)) == 20_000


def test_affectnet_box_is_position_and_size(drawn):
    root, faces = drawn("affectnet")
    dataset = build_dataset("affectnet", root, "train", 64, "bb_ground_truth")
    boxes = {a.name: a.box for a in dataset.annotations}
    np.testing.assert_allclose(boxes["1/0.jpg"], faces[0].box, atol=1.01)
    assert "1/5.jpg" not in boxes, "expression 9 is no emotion"


def test_affectnet_in_parface_layout(tmp_path, drawn):
    from datasets.synthetic.layouts import write_boxes

    write_boxes(tmp_path, drawn("w300")[1], "affectnet")
    sizes = [len(build_dataset("affectnet", tmp_path, split, 64, "bb_ground_truth")) for split in ("train",)]
    assert sizes[0] >= 1


def test_menpo_profile_points_are_padded_invisible(drawn):
    dataset = build_dataset("menpo2d", drawn("menpo2d")[0], "train", 64, "bb_ground_truth")
    sample = dataset[0]
    assert sample.visibility.sum() == 39 and sample.landmarks.shape == (68, 2)
    by_points = build_dataset("menpo2d", drawn("menpo2d")[0], "train", 64, "lm_ground_truth").make_crop(
        dataset.annotations[0]
    )
    used = drawn("menpo2d")[1][0].landmarks[:39, 1]
    inner = by_points.centre(64).invert(np.array([[0.0, 0.0], [64, 64]]))
    assert inner[1, 1] - inner[0, 1] == pytest.approx(1.4 * np.ptp(used), rel=1e-3), (
        "padding does not count for the crop"
    )


def test_menpo_unlabeled_box_covers_all_84_points(tmp_path, drawn):
    face = drawn("w300")[1][0]
    points = face.landmarks_98[:84]
    write_tar(tmp_path / "menpo3D84.tar", {"face.rgb.jpg": jpeg(face.image)})
    (tmp_path / "csv").mkdir()
    record = {"img_path": "face.jpg", "landmarks_2d": (points - 0.5).tolist()}
    (tmp_path / "csv" / "menpo3D84.ljson").write_text(json.dumps(record) + "\n")
    annotation = build_dataset("menpo2d", tmp_path, "unlabeled", 64, "bb_ground_truth").annotations[0]
    assert annotation.landmarks is None
    np.testing.assert_allclose(annotation.box, [*points.min(0), *points.max(0)], atol=1e-3)


@pytest.mark.parametrize(
    ("count", "name", "message"),
    [
        (67, "a/face.jpg", "67 landmarks where 68"),
        (68, "c/face.jpg", "unique name"),
        (68, "a/other.jpg", "is not in"),
        (68, "", "is not in"),
    ],
)
def test_menpo_wrong_counts_and_names(tmp_path, drawn, count, name, message):
    photo = jpeg(drawn("w300")[1][0].image)
    write_tar(tmp_path / "menpo.tar", {"a/face.rgb.jpg": photo, "b/face.rgb.jpg": photo})
    (tmp_path / "csv").mkdir()
    record = {"img_path": name, "landmarks_2d": [[5, 6]] * count}
    (tmp_path / "csv" / "menpo_train.ljson").write_text(json.dumps(record) + "\n")
    with pytest.raises(DataError, match=message):
        build_dataset("menpo2d", tmp_path, "train", 64, "bb_ground_truth")


BOXED = [
    ("vggface2", "train"),
    ("celeba", "full"),
    ("ffhq", "full"),
    ("neuroface", "full"),
    ("meei", "full"),
    ("wlp300", "full"),
    ("wflw", "train"),
    ("palsy", "labeled_1"),
    ("ls3d", "full"),
    ("w300", "common"),
    ("affectnet", "full"),
]


@pytest.mark.parametrize(("key", "split"), BOXED)
def test_box_becomes_the_inner_square(drawn, key, split):
    """The longer side of the extended box spans exactly the inner square, centred on it."""
    dataset = build_dataset(key, drawn(key)[0], split, 64, "bb_ground_truth")
    annotation = dataset.annotations[0]
    left, top, right, bottom = annotation.box
    height = bottom - top
    corners = np.array([[left, top - dataset.extend_top * height], [right, bottom + dataset.extend_bottom * height]])
    moved = dataset.make_crop(annotation, (160, 160, 3)).centre(64).apply(corners)
    assert (moved[1] - moved[0]).max() == pytest.approx(64) and moved.mean(0) == pytest.approx([32, 32])


def test_landmarks_land_on_the_same_pixels_in_the_crop(drawn):
    """A dot painted at a landmark of the photo shows in the crop where the sample says it is."""
    dataset = build_dataset("wflw", drawn("wflw")[0], "train", 64, "bb_ground_truth")
    annotation = dataset.annotations[0]
    crop = dataset.make_crop(annotation, (160, 160, 3))
    rows, columns = np.mgrid[:160, :160] + 0.5
    x, y = annotation.landmarks[54]
    dot = np.repeat((255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)).astype(np.uint8)[..., None], 3, axis=2)
    sample = cut_sample(annotation, crop, dot)
    weights = np.where(sample.image[..., 0] > 20, sample.image[..., 0].astype(float), 0)
    rows, columns = np.mgrid[: len(weights), : len(weights)] + 0.5
    found = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    assert np.abs(found - sample.landmarks[54]).max() < 0.15


def test_meei_keeps_patients_apart(tmp_path, drawn):
    photo = jpeg(drawn("w300")[1][0].image)
    rows = ["image_path,x1,y1,x2,y2"]
    for patient in range(6):
        write_tar(tmp_path / f"p{patient}.tar", {f"{i}.jpg": photo for i in range(3)})
        rows += [f"p{patient}/{i}.jpg,10,10,90,90" for i in range(3)]
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "MEEI_annotations.csv").write_text("\n".join(rows) + "\n")
    parts = [build_dataset("meei", tmp_path, split, 64, "bb_ground_truth") for split in ("train", "val")]
    patients = [{a.path.name for a in part.annotations} for part in parts]
    assert not patients[0] & patients[1] and sum(map(len, parts)) == 18 and len(parts[1]) >= 3


def test_split_by_name_is_complete_fixed_and_never_empty():
    names = [f"face{i}" for i in range(500)]
    val = choose_split(names, "val", str)
    assert val == choose_split(names, "test", str) == choose_split(list(reversed(names)), "val", str)[::-1]
    assert sorted(val + choose_split(names, "train", str)) == sorted(names) and 30 < len(val) < 70
    for count in range(2, 12):
        some = names[:count]
        assert 0 < len(choose_split(some, "val", str)) < count


def aflw_file(root, **changed):
    content = {
        "ra": np.arange(1, 4),
        "data": np.full((3, 38), 20.0),
        "mask_new": np.ones((3, 19)),
        "bbox": np.full((3, 4), 9.0),
        "nameList": np.array(["a.jpg"] * 3, dtype=object),
    } | changed
    (root / "data/flickr").mkdir(parents=True, exist_ok=True)
    savemat(root / "AFLWinfo_release.mat", content)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ra", np.array([1, 2, 9]), "no permutation"),
        ("ra", np.array([1, 1, 2]), "no permutation"),
        ("nameList", np.array(["a.jpg"] * 2, dtype=object), "no permutation"),
        ("data", np.ones((3, 42)), "shape"),
        ("bbox", np.full((3, 4), np.nan), "not finite"),
    ],
)
def test_aflw_with_a_damaged_table(tmp_path, field, value, message):
    aflw_file(tmp_path, **{field: value})
    with pytest.raises(DataError, match=message):
        Aflw(tmp_path, "train", 64)


def test_palsy_points_need_two_or_three_columns(tmp_path):
    (tmp_path / "csv").mkdir()
    for columns, message in ((1, "x, y or x, y, z"), (4, "x, y or x, y, z")):
        record = {"img_path": "s/f.jpg", "landmarks_MAL3D": [[1] * columns] * 68}
        (tmp_path / "csv" / "palsy_test.ljson").write_text(json.dumps(record))
        with pytest.raises(DataError, match=message):
            build_dataset("palsy", tmp_path, "parface", 64, "bb_ground_truth")


def test_wflw_test_subsets_carry_attributes(drawn):
    dataset = build_dataset("wflw", drawn("wflw")[0], "occlusion", 64, "bb_ground_truth")
    assert all(a.labels["occlusion"] for a in dataset.annotations)


def test_missing_splits_are_disjoint_and_complete(drawn):
    for key in ("celeba", "meei", "neuroface", "ls3d"):
        root, _ = drawn(key, 30)
        opened = {split: build_dataset(key, root, split, 64, "bb_ground_truth") for split in ("train", "val", "full")}
        parts = {split: {a.name for a in dataset.annotations} for split, dataset in opened.items()}
        assert parts["train"] | parts["val"] == parts["full"] and not parts["train"] & parts["val"]
        assert 0 < len(parts["val"]) < len(parts["train"])


def test_wlp300_validation_is_not_training(drawn):
    root, _ = drawn("wlp300", 20)
    names = [
        {a.name for a in build_dataset("wlp300", root, s, 64, "bb_ground_truth").annotations} for s in ("train", "val")
    ]
    assert not names[0] & names[1] and len(names[0]) == 18


def test_missing_dataset_says_where_to_get_it(tmp_path):
    for key in set(DATASETS) - {"synthetic", "synthetic3d"}:  # which are rendered where they are missing
        with pytest.raises(DataError) as caught:
            build_dataset(key, tmp_path / "nowhere", DATASETS[key].splits[0], 64, "bb_ground_truth")
        assert "not found" in str(caught.value) and "local_config.ini" in str(caught.value)


def test_unknown_names_list_the_known_ones(drawn):
    root, _ = drawn("w300")
    with pytest.raises(DataError, match="unknown dataset 'w301'.*w300"):
        build_dataset("w301", root, "train", 64, "bb_ground_truth")
    with pytest.raises(DataError, match="no split 'tiny'.*common"):
        build_dataset("w300", root, "tiny", 64, "bb_ground_truth")
    with pytest.raises(DataError, match="crop-source"):
        build_dataset("w300", root, "train", 64, "whole")


def test_wrong_layouts(tmp_path):
    (tmp_path / "images/train/afw").mkdir(parents=True)
    with pytest.raises(DataError, match="empty"):
        build_dataset("w300", tmp_path, "train", 64, "lm_ground_truth")
    (tmp_path / "images/train/afw/a.pts").write_text("n_points: 68\n{\n1 2\n}\n")
    with pytest.raises(DataError, match="photo .* is missing"):
        build_dataset("w300", tmp_path, "train", 64, "lm_ground_truth")
    (tmp_path / "images/train/afw/a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="1 landmarks where 68"):
        build_dataset("w300", tmp_path, "train", 64, "lm_ground_truth")
    (tmp_path / "AFLWinfo_release.mat").write_bytes(b"no mat file at all, just text that is long enough to be read" * 9)
    (tmp_path / "data/flickr").mkdir(parents=True)
    with pytest.raises(DataError, match="AFLWinfo_release.mat"):
        Aflw(tmp_path, "full", 64)


def test_wflw_with_a_short_line(tmp_path):
    lists = tmp_path / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    (tmp_path / "WFLW_images").mkdir()
    (lists / "list_98pt_rect_attr_train.txt").write_text("1 2 3 face.jpg\n")
    with pytest.raises(DataError, match="train.txt:1"):
        build_dataset("wflw", tmp_path, "train", 64, "bb_ground_truth")


def test_annotation_that_leaves_the_folder_is_refused(tmp_path):
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "celeba_annotations.csv").write_text(
        "image_path,x1,y1,x2,y2,scale\n../../etc/passwd,0,0,50,50,1\n"
    )
    with pytest.raises(DataError, match="leaves"):
        build_dataset("celeba", tmp_path, "full", 64, "bb_ground_truth")


def fill(folder, names, face):
    for name in names:
        save_photo(folder / name, face.image)


def test_folder_splits_never_overlap(tmp_path, drawn):
    face = drawn("w300")[1][0]
    fill(tmp_path, ["test/a.jpg", "test/b.jpg", "c.jpg", "more/d.jpg"], face)
    parts = {
        split: {a.name for a in Folder(tmp_path, split, 64).annotations} for split in ("train", "test", "val", "full")
    }
    assert parts["test"] == parts["val"] == {"test/a.jpg", "test/b.jpg"}
    assert parts["train"] == {"c.jpg", "more/d.jpg"} and len(parts["full"]) == 4
    fill(tmp_path, ["train/e.jpg"], face)
    assert {a.name for a in Folder(tmp_path, "train", 64).annotations} == {"train/e.jpg"}


def test_folder_reads_one_csv_for_both_split_folders(tmp_path, drawn):
    fill(tmp_path, ["train/a.jpg", "test/b.jpg"], drawn("w300")[1][0])
    (tmp_path / "points.csv").write_text("image,x0,y0,x1,y1\ntrain/a.jpg,10,20,30,40\ntest/b.jpg,11,21,31,41\n")
    assert Folder(tmp_path, "test", 64).annotations[0].landmarks.tolist() == [[11.5, 21.5], [31.5, 41.5]]
    for row, message in (
        ("none.jpg,1,2,3,4", "none.jpg is not in"),
        ("train/a.jpg,1,2,3", "pairs"),
        ("train/a.jpg,1,2\ntrain/a.jpg,1,2", "twice"),
        ("../x.jpg,1,2", "leaves"),
        ("train/a.jpg,1,z", "numbers"),
    ):
        (tmp_path / "points.csv").write_text(f"image,x0,y0,x1,y1\n{row}\n")
        with pytest.raises(DataError, match=message):
            Folder(tmp_path, "full", 64)


def test_folder_opens_with_an_unreadable_photo_and_names_it_when_read(tmp_path, drawn):
    fill(tmp_path, ["a.jpg"], drawn("w300")[1][0])
    (tmp_path / "b.jpg").write_bytes(b"")
    dataset = Folder(tmp_path, "full", 64)
    whole = dataset.make_crop(dataset.annotations[0], (160, 160, 3)).centre(64).invert(np.array([[0.0, 0], [64, 64]]))
    np.testing.assert_allclose(whole, [[0, 0], [160, 160]], atol=1e-9)
    with pytest.raises(DataError, match="b.jpg"):
        dataset[1]


def test_faces_of_a_folder_are_found_once_and_photos_without_are_left_out(tmp_path, drawn, capsys):
    """A whole photo is no face; what was found is kept, and a changed photo is searched again."""
    fill(tmp_path / "photos", ["a.jpg", "b.jpg", "c.jpg"], drawn("w300")[1][0])
    (tmp_path / "photos/d.jpg").write_bytes(b"broken")
    asked = []

    def detect(image):
        asked.append(image.shape)
        return [Detection(np.array([5.0, 6, 70, 80]), 1.0), Detection(np.zeros(4), 0.0)] if len(asked) != 2 else []

    def open_folder():
        faces = FirstFaces("dlib", tmp_path / "cache", lambda name: detect)
        return build_dataset("folder", tmp_path / "photos", "full", 64, "bb_ground_truth", faces=faces)

    first = open_folder()
    assert [a.name for a in first.annotations] == [
        "a.jpg",
        "c.jpg",
        "d.jpg",
    ] and "1 of 4 photos" in capsys.readouterr().out
    assert first.annotations[1].box.tolist() == [5, 6, 70, 80]
    with pytest.raises(DataError, match="d.jpg"):
        first[2]
    assert [a.name for a in open_folder().annotations] == ["a.jpg", "c.jpg", "d.jpg"] and len(asked) == 3
    fill(tmp_path / "photos", ["b.jpg"], drawn("w300")[1][1])
    assert len(open_folder()) == 4 and len(asked) == 4
    with pytest.raises(DataError, match="no face found in 4 photos.*--detector none"):
        Folder(tmp_path / "photos", "full", 64, faces=dict.fromkeys)


def test_unknown_scheme_is_a_data_error(tmp_path, drawn):
    fill(tmp_path, ["a.jpg"], drawn("w300")[1][0])
    with pytest.raises(DataError, match="--scheme.*ibug68"):
        build_dataset("folder", tmp_path, "full", 64, "bb_ground_truth", scheme="ibug69")


def test_folder_with_json_csv_own_scheme_and_detector(tmp_path, drawn):
    face = drawn("w300")[1][0]
    save_photo(tmp_path / "a.jpg", face.image)
    (tmp_path / "a.json").write_text(json.dumps({"landmarks": (face.landmarks[:7, :2] - 0.5).tolist()}))
    dataset = Folder(tmp_path, "full", 64)
    assert dataset.scheme.num_points == 7 and dataset[0].landmarks.shape == (7, 2)
    np.testing.assert_allclose(dataset.annotations[0].landmarks, face.landmarks[:7, :2], atol=1e-3)
    with pytest.raises(DataError, match="7 landmarks where 68"):
        Folder(tmp_path, "full", 64, scheme=get_scheme("ibug68"))
    (tmp_path / "a.json").unlink()
    (tmp_path / "points.csv").write_text("image,x0,y0,x1,y1\na.jpg,10,20,30,nan\n")
    with pytest.raises(DataError, match="points.csv:2.*not finite"):
        Folder(tmp_path, "full", 64)
    (tmp_path / "points.csv").write_text("image,x0,y0,x1,y1\na.jpg,10,20,300,40\n")
    outside = Folder(tmp_path, "full", 64).annotations[0].landmarks
    assert outside[1, 0] == 300.5, "points outside the photo are kept"
    (tmp_path / "points.csv").unlink()
    boxes = Folder(tmp_path, "full", 64, faces=lambda photos: {photos[0]: np.array([1.0, 2, 60, 70])})
    assert boxes.annotations[0].box.tolist() == [1, 2, 60, 70] and boxes.scheme is None


def test_real_300w_has_its_published_photos(shared_data):
    train = build_dataset("w300", shared_data / "300w", "train", 128, "lm_ground_truth")
    common = build_dataset("w300", shared_data / "300w", "common", 128, "lm_ground_truth")
    assert (len(train), len(common)) == (2012 - 3, 224)
    inner = common[5].landmarks - (182 - 128) // 2
    assert inner.min() > 0 and inner.max() < 128, "the landmark rule keeps all points inside"


def test_training_photos_that_are_test_photos_are_left_out(drawn, tmp_path):
    root = tmp_path / "w300"
    shutil.copytree(drawn("w300")[0], root)
    folder = root / "images/train/lfpw"
    count = len(build_dataset("w300", root, "train", 64, "lm_ground_truth"))
    some = next(folder.glob("*.pts"))
    for stem in (*LEAKED_300W["train/lfpw"], "image_9999"):
        shutil.copy(some, folder / f"{stem}.pts")
        photo = next(p for p in (some.with_suffix(s) for s in (".jpg", ".png")) if p.exists())
        shutil.copy(photo, folder / f"{stem}{photo.suffix}")
    paths = [a.path for a in build_dataset("w300", root, "train", 64, "lm_ground_truth").annotations]
    assert len(paths) == count + 1 and not {p.stem for p in paths} & set(LEAKED_300W["train/lfpw"])


def test_leaked_photos_show_the_same_faces(shared_data):
    """The listed pairs are the same photo: their landmarks differ by annotation noise alone."""
    images = shared_data / "300w/images"
    for train, test in LEAKED_300W["train/lfpw"].items():
        a, b = (read_pts(images / f).astype(float) for f in (f"train/lfpw/{train}.pts", f"test/common/lfpw/{test}.pts"))
        a, b = ((p - p.mean(0)) / np.sqrt(((p - p.mean(0)) ** 2).sum()) for p in (a, b))
        assert np.linalg.norm(a - b, axis=1).mean() * np.sqrt(68) < 0.15, (train, test)


@pytest.mark.parametrize("source", ["lm_cnn", "lm_openface"])
def test_crops_by_landmarks_that_no_data_has_are_refused(drawn, source):
    with pytest.raises(DataError, match=f"--crop-source {source} .*bb_detector, lm_ground_truth"):
        build_dataset("w300", drawn("w300")[0], "train", 64, source)
