"""The library's front door: crops, batches and wrong pictures."""

import numpy as np
import pytest
import torch

from common.errors import CheckpointError, DataError
from datasets.crop import crop_from_landmarks
from geometry.heatmaps import render_heatmaps
from geometry.schemes import IBUG_68
from landmarks.detector import LandmarkDetector, as_rgb
from landmarks.models import LoadedModel, load_model, model_config, save_for_inference
from networks.aae import AAE, AAEConfig


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """Folder with an untrained model 'random'."""
    folder = tmp_path_factory.mktemp("models") / "data/models/snapshots"
    torch.manual_seed(0)
    networks = AAE(AAEConfig(128, num_landmarks=68))
    model = LoadedModel(
        networks, IBUG_68, "lm_ground_truth", model_config(networks, IBUG_68, "lm_ground_truth"), folder
    )
    save_for_inference(model, folder / "random")
    return folder


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


def test_points_return_to_the_photo_exactly(snapshots, astronaut, monkeypatch):
    """A network that marks fixed places of the crop must come out at their places of the photo, through both passes."""
    detector = LandmarkDetector.from_pretrained("random", snapshots, flip=False, passes=1)
    wanted = torch.rand(68, 2, generator=torch.Generator().manual_seed(1)) * 100 + 14
    maps = render_heatmaps(wanted, 128, 7.0)
    monkeypatch.setattr(detector.networks.LMH, "forward", lambda x1, decoder: maps.expand(len(x1), -1, -1, -1))
    faces = detector(astronaut, crops=[np.array([150.0, 40, 300, 190]), np.array([10.0, 10, 110, 120])])
    assert len(faces) == 2
    for face in faces:
        np.testing.assert_allclose(face.crop.apply(face.landmarks), wanted.numpy(), atol=1e-2)
    expected = np.array([150, 40]) + wanted.numpy() / 128 * 150
    np.testing.assert_allclose(faces[0].landmarks, expected, atol=2e-2)


def test_one_batch_for_all_photos_equals_one_by_one(snapshots, astronaut):
    detector = LandmarkDetector.from_pretrained("random", snapshots)
    photos = [astronaut, astronaut[:, ::-1].copy()]
    together = detector.predict_batch(photos)
    for photo, faces in zip(photos, together, strict=True):
        alone = detector(photo)
        assert len(alone) == len(faces) == 1
        np.testing.assert_allclose(alone[0].landmarks, faces[0].landmarks, atol=0.05)


def test_grey_rgba_and_wrong_arrays(snapshots, astronaut):
    grey = astronaut[..., 0]
    assert as_rgb(grey).shape == astronaut.shape
    assert (as_rgb(np.dstack([astronaut, grey])) == astronaut).all()
    for wrong in (astronaut.astype(float), np.zeros((3, 4, 5, 6), np.uint8)):
        with pytest.raises(DataError, match="uint8"):
            as_rgb(wrong)
    detector = LandmarkDetector.from_pretrained("random", snapshots, detector="none")
    assert len(detector(grey)) == 1


def test_models_without_head_and_unknown_detectors(snapshots, tmp_path):
    networks = AAE(AAEConfig(128))
    bare = LoadedModel(networks, None, "bb_ground_truth", {}, tmp_path)
    with pytest.raises(CheckpointError, match="no landmark head"):
        LandmarkDetector(bare)
    with pytest.raises(DataError, match="yunet, dlib, faceboxes, none"):
        LandmarkDetector(load_model("random", snapshots), detector="mtcnn")


def test_two_passes_end_where_the_landmark_rule_cuts(snapshots, astronaut, monkeypatch):
    """The last crop is the rule's own for the landmarks of the pass before, not the box's."""
    once = LandmarkDetector.from_pretrained("random", snapshots, passes=1)
    twice = LandmarkDetector.from_pretrained("random", snapshots, passes=2)
    wanted = torch.rand(68, 2, generator=torch.Generator().manual_seed(2)) * 60 + 34
    maps = render_heatmaps(wanted, 128, 7.0)
    for detector in (once, twice):
        monkeypatch.setattr(detector.networks.LMH, "forward", lambda x1, decoder: maps.expand(len(x1), -1, -1, -1))
    box = [np.array([150.0, 40, 300, 190])]
    (first,), (second,) = once(astronaut, box), twice(astronaut, box)
    expected = crop_from_landmarks(first.landmarks, IBUG_68, 128)
    np.testing.assert_allclose(second.crop.matrix, expected.matrix, atol=1e-6)
    assert abs(second.crop.scale / first.crop.scale - 1) > 0.05


def test_a_hopeless_box_does_not_cost_the_other_faces(snapshots, astronaut):
    """All landmarks of a box left of the photo have x ≤ 0, so no second crop can be made of them."""
    detector = LandmarkDetector.from_pretrained("random", snapshots)
    corner, face = detector(astronaut, crops=[np.array([-400.0, -400, 5, 5]), np.array([150.0, 40, 300, 190])])
    assert np.isfinite(corner.landmarks).all() and np.isfinite(face.landmarks).all()
    (alone,) = detector(astronaut, crops=[np.array([150.0, 40, 300, 190])])
    np.testing.assert_allclose(face.landmarks, alone.landmarks, atol=0.5)


def test_boxes_of_every_kind_and_crops(snapshots, astronaut):
    """Without YuNet's help the kind alone decides the first crop; a crop is its own; both at once are refused."""
    detector = LandmarkDetector.from_pretrained("random", snapshots, passes=1, locate=False)
    box = np.array([175.0, 75, 275, 175])
    sides = {
        kind: 128 / detector(astronaut, [box], box_kind=kind)[0].crop.scale for kind in ("landmarks", "yunet", "dlib")
    }
    assert sides == pytest.approx({"landmarks": 138.5, "yunet": 122.6, "dlib": 133.1})
    (face,) = detector(astronaut, crops=[box])
    assert (
        128 / face.crop.scale == pytest.approx(100)
        and face.box.tolist() == box.tolist()
        and np.isnan(face.detection_score)
    )
    with pytest.raises(DataError, match="'mtcnn'; choose one of"):
        detector(astronaut, [box], box_kind="mtcnn")
    with pytest.raises(DataError, match="one of them"):
        detector(astronaut, [box], crops=[box])


def test_coarse_boxes_lead_to_one_crop(snapshots, astronaut):
    """What YuNet sees in the box's surroundings decides; the face keeps the box that was given."""
    detector = LandmarkDetector.from_pretrained("random", snapshots, passes=1)
    boxes = [np.array([178.0, 78, 268, 178]) + shift for shift in (-15, 0, 15)]
    faces = detector(astronaut, boxes)
    assert [face.box.tolist() for face in faces] == [box.tolist() for box in boxes]
    centres = [face.crop.invert(np.array([64.0, 64.0])) for face in faces]
    assert np.ptp(centres, axis=0).max() < 6


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_lying_faces_get_the_landmarks_of_upright_ones(astronaut, quarters):
    """The bundled model through both passes: the points of the turned photo, turned back, are the photo's."""
    detector = LandmarkDetector.from_pretrained(device="cpu")
    (upright,), (turned,) = detector(astronaut), detector(np.ascontiguousarray(np.rot90(astronaut, quarters)))
    points = turned.landmarks
    for _ in range(quarters):
        points = np.stack([512 - points[:, 1], points[:, 0]], axis=1)
    np.testing.assert_allclose(points, upright.landmarks, atol=1.5)


def test_landmarks_that_are_none_do_not_cut_the_second_crop(snapshots, astronaut, monkeypatch):
    """Points far beyond the crop, as networks give for no face, would make a crop too large to be resampled."""
    detector = LandmarkDetector.from_pretrained("random", snapshots)
    monkeypatch.setattr(
        detector, "_to_photo", lambda prediction, crops: [np.random.default_rng(0).normal(0, 1e7, (68, 2))]
    )
    (face,) = detector(astronaut, crops=[np.array([150.0, 40, 300, 190])])
    assert 128 / face.crop.scale == pytest.approx(150)


def test_analyse_returns_what_the_tiles_show(snapshots, astronaut):
    detector = LandmarkDetector.from_pretrained("random", snapshots)
    ((analysis,),) = detector.analyse([astronaut], [[np.array([150.0, 40, 300, 190])]])
    assert analysis.picture.shape == analysis.reconstruction.shape == (128, 128, 3)
    assert analysis.picture.dtype == np.uint8 and analysis.heatmaps.shape == (68, 128, 128)
    difference = analysis.picture.astype(int) - analysis.face.crop.extract(astronaut)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[], []], "boxes for 2 photos but 1"),
        ([[np.zeros(3)]], "four numbers"),
        ([[np.array([0, 0, 9, np.nan])]], "not finite"),
        ([[np.zeros(4)]], "under 2 px"),
        ([[np.array([9000.0, 0, 9100, 100])]], "outside"),
    ],
)
def test_wrong_boxes(snapshots, astronaut, boxes, message):
    with pytest.raises(DataError, match=message):
        LandmarkDetector.from_pretrained("random", snapshots, detector="none").predict_batch([astronaut], boxes)


def test_empty_pictures_and_no_pictures(snapshots):
    detector = LandmarkDetector.from_pretrained("random", snapshots)
    assert detector.predict_batch([]) == []
    assert detector(np.zeros((64, 64, 3), np.uint8)) == []
    with pytest.raises(DataError, match="with pixels"):
        detector(np.zeros((0, 5, 3), np.uint8))
