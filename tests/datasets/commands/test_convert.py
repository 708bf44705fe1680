"""Converters on the datasets' own layouts, read back by the dataset classes."""

import numpy as np
import pytest
from scipy.io import savemat

from common.files.points import format_pts
from datasets.commands.convert import convert_celeba, main
from datasets.detection.detect import Detection
from datasets.registry import build_dataset
from datasets.synthetic.faces import PHOTO_PX
from datasets.synthetic.layouts import jpeg, save_photo, write_tar


def write_mats(folder, faces):
    for i, face in enumerate(faces):
        save_photo(folder / f"image{i}.jpg", face.image)
        points = (face.landmarks + [0.5, 0.5, 0]).T  # 1-based
        pose = np.array([[0.1, np.radians(20 * i), 0, 0, 0, 0, 1]])
        savemat(folder / f"image{i}.mat", {"pt3d_68": points, "pt2d": points[:2], "Pose_Para": pose})


def test_aflw2000(tmp_path, drawn):
    faces = drawn("w300")[1]
    write_mats(tmp_path, faces)
    assert main(["aflw2000", "--from", str(tmp_path)]) == 0
    dataset = build_dataset("aflw20003d", tmp_path, "0_to_30", 64, "bb_ground_truth")
    assert len(dataset) == 2 and dataset.annotations[1].labels["yaw_deg"] == pytest.approx(20)
    np.testing.assert_allclose(dataset.annotations[1].landmarks, faces[1].landmarks, atol=1e-3)


def test_300wlp_with_and_without_depth(tmp_path, drawn, capsys):
    faces = drawn("w300")[1]
    write_mats(tmp_path / "AFW", faces)
    assert main(["300wlp", "--from", str(tmp_path)]) == 0
    assert "x and y alone" in capsys.readouterr().err
    dataset = build_dataset("wlp300", tmp_path, "full", 64, "bb_ground_truth")
    np.testing.assert_allclose(dataset.annotations[0].landmarks, faces[0].landmarks[:, :2], atol=1e-3)
    points = np.stack([f.landmarks - [0.5, 0.5, 0] for f in faces])
    np.savez(tmp_path / "points.npz", image=[f"AFW/image{i}.jpg" for i in range(6)], landmarks=points)
    assert main(["300wlp", "--from", str(tmp_path), "--landmarks", str(tmp_path / "points.npz")]) == 0
    dataset = build_dataset("wlp300", tmp_path, "full", 64, "bb_ground_truth")
    np.testing.assert_allclose(dataset.annotations[3].landmarks, faces[3].landmarks, atol=1e-3)


def test_300wlp_refuses_depths_for_a_part_of_the_photos(tmp_path, drawn, capsys):
    faces = drawn("w300")[1][:2]
    write_mats(tmp_path / "AFW", faces)
    np.savez(tmp_path / "z.npz", image=["AFW/image0.jpg"], landmarks=faces[0].landmarks[None])
    assert main(["300wlp", "--from", str(tmp_path), "--landmarks", str(tmp_path / "z.npz")]) == 2
    assert "no landmarks for AFW/image1.jpg" in capsys.readouterr().err
    assert not (tmp_path / "csv").exists(), "nothing is written"


def test_300wlp_prefers_the_projected_3d_points(tmp_path, drawn):
    faces = drawn("w300")[1]
    write_mats(tmp_path / "AFW", faces)
    (tmp_path / "landmarks" / "AFW").mkdir(parents=True)
    flat = faces[0].landmarks[:, :2] + 0.5  # 1-based
    savemat(tmp_path / "landmarks" / "AFW" / "image0_pts.mat", {"pts_3d": flat + 3, "pts_2d": flat + 7})
    assert main(["300wlp", "--from", str(tmp_path)]) == 0
    first = build_dataset("wlp300", tmp_path, "full", 64, "bb_ground_truth").annotations[0]
    np.testing.assert_allclose(first.landmarks[:, :2], faces[0].landmarks[:, :2] + 3, atol=1e-3)
    np.testing.assert_allclose(first.crop_landmarks, faces[0].landmarks[:, :2] + 7, atol=1e-3)


def test_menpo_packs_photos_and_points(tmp_path, drawn):
    faces = drawn("w300")[1]
    for part in ("train", "common", "challenging"):
        for i, face in enumerate(faces[:2]):
            save_photo(tmp_path / part / "set" / f"{i}.jpg", face.image)
            points = face.landmarks[: 39 if part == "train" and i else 68]
            (tmp_path / part / "set" / f"{i}.pts").write_text(format_pts(points))
    assert main(["menpo", "--from", str(tmp_path)]) == 0
    sizes = {s: len(build_dataset("menpo2d", tmp_path, s, 64, "bb_ground_truth")) for s in ("train", "common", "full")}
    assert sizes == {"train": 2, "common": 2, "full": 4}
    dataset = build_dataset("menpo2d", tmp_path, "challenging", 64, "bb_ground_truth")
    np.testing.assert_allclose(dataset.annotations[1].landmarks, faces[1].landmarks[:, :2], atol=1e-3)
    assert dataset[1].image.std() > 5
    assert build_dataset("menpo2d", tmp_path, "train", 64, "bb_ground_truth")[1].visibility.sum() == 39
    (tmp_path / "train" / "set" / "1.pts").write_text(format_pts(faces[0].landmarks[:5]))
    assert main(["menpo", "--from", str(tmp_path)]) == 2


def test_output_that_cannot_be_written_is_one_sentence(tmp_path, drawn, capsys):
    write_mats(tmp_path / "in", drawn("w300")[1][:1])
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    assert main(["aflw2000", "--from", str(tmp_path / "in"), "--out", str(tmp_path / "file" / "csv")]) == 2
    assert "error: " in capsys.readouterr().err


def test_affectnet(tmp_path, drawn):
    for i, face in enumerate(drawn("w300")[1]):
        save_photo(tmp_path / "train_set/images" / f"{i}.jpg", face.image)
        (tmp_path / "train_set/annotations").mkdir(exist_ok=True)
        np.save(tmp_path / "train_set/annotations" / f"{i}_lnd.npy", face.landmarks[:, :2].ravel())
    assert main(["affectnet", "--from", str(tmp_path)]) == 0
    assert (tmp_path / "csv/affectnet_annotations.csv").read_text().count("223.000") == 12


def test_celeba_from_its_list_and_by_detection(tmp_path, drawn):
    faces = drawn("w300")[1]
    lines = ["2", "image_id x_1 y_1 width height"]
    for i, face in enumerate(faces[:2]):
        save_photo(tmp_path / "img_celeba" / f"{i + 1:06d}.jpg", face.image)
        lines.append(f"{i + 1:06d}.jpg  11 21 60 80")
    (tmp_path / "list_bbox_celeba.txt").write_text("\n".join(lines))
    assert main(["celeba", "--from", str(tmp_path)]) == 0
    dataset = build_dataset("celeba", tmp_path, "full", 64, "bb_ground_truth")
    assert dataset.annotations[0].box.tolist() == [10, 20, 70, 100]
    convert_celeba(tmp_path, tmp_path / "csv", lambda image: [Detection(np.array([1.0, 2, 30, 40]), 0.5)])
    dataset = build_dataset("celeba", tmp_path, "full", 64, "bb_ground_truth")
    assert dataset.annotations[0].box.tolist() == [1, 2, 30, 40]


def test_ffhq_and_meei(tmp_path, drawn):
    faces = drawn("w300")[1]
    save_photo(tmp_path / "ffhq" / "00000.png", faces[0].image)
    assert main(["ffhq", "--from", str(tmp_path / "ffhq")]) == 0
    assert len(build_dataset("ffhq", tmp_path / "ffhq", "full", 64, "bb_ground_truth")) == 1
    write_tar(tmp_path / "meei" / "patients.tar", {"p/0.jpg": jpeg(faces[0].image)})
    assert main(["meei", "--from", str(tmp_path / "meei"), "--detector", "none"]) == 0
    dataset = build_dataset("meei", tmp_path / "meei", "full", 64, "bb_ground_truth")
    assert dataset.annotations[0].box.tolist() == [0, 0, PHOTO_PX, PHOTO_PX]


def test_bad_input_is_one_sentence(tmp_path, capsys):
    for dataset, folder in (
        ("aflw2000", tmp_path),
        ("300wlp", tmp_path),
        ("ffhq", tmp_path),
        ("celeba", tmp_path / "none"),
    ):
        assert main([dataset, "--from", str(folder)]) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ") and message.count("\n") == 1
    (tmp_path / "image0.mat").write_bytes(b"nonsense that is no matlab file at all" * 20)
    assert main(["aflw2000", "--from", str(tmp_path)]) == 2
    assert "image0.mat" in capsys.readouterr().err
