"""The bundled landmark models are as good as their cards say: a worse one must not pass."""

import numpy as np
import pytest
import torch

from common.config import read_local_config
from datasets.readers.w300 import W300
from datasets.sample import landmark_box
from datasets.synthetic.faces import embedded_faces
from landmarks.detector import LandmarkDetector
from landmarks.evaluation import run_evaluation
from landmarks.settings import EvalSettings

EYES = (36, 45)


def nme(points: np.ndarray, truth: np.ndarray) -> float:
    """% of the distance of the outer eye corners."""
    return float(
        100 * np.linalg.norm(points[:, :2] - truth, axis=1).mean() / np.linalg.norm(truth[EYES[0]] - truth[EYES[1]])
    )


@pytest.fixture(scope="module")
def rendered():
    """Frontal to half-profile faces that no training saw: pictures and the 68 points as 300-W marks them."""
    torch.manual_seed(0)
    batch = embedded_faces(seed=123).batch(0, 16)
    near = (batch.angles_deg[:, 1].abs() < 45).nonzero()[:, 0].tolist()
    return [(batch.images[i].numpy(), batch.landmarks_2d[i].numpy()) for i in near]


@pytest.mark.parametrize(("name", "bound"), [("landmarks_fast", 4.0), ("landmarks_300w", 11.0)])
def test_rendered_faces_in_boxes(rendered, name, bound):
    detector = LandmarkDetector.from_pretrained(name, device="cpu")
    images, truth = zip(*rendered, strict=True)
    faces = detector.predict_batch(images, [[landmark_box(points)] for points in truth])
    assert np.median([nme(face.landmarks, points) for (face,), points in zip(faces, truth, strict=True)]) < bound


@pytest.mark.parametrize(
    ("name", "crop", "bound"),
    [("landmarks_fast", "bb_ground_truth", 3.40), ("landmarks_300w", "lm_ground_truth", 4.12)],
)
def test_lfpw(shared_data, tmp_path, name, crop, bound):
    ini = tmp_path / "local.ini"
    ini.write_text(f"[Paths]\nw300 = {shared_data / '300w'}\ndata = {tmp_path}\noutputs = {tmp_path}\n")
    settings = EvalSettings(checkpoint=[name], test_split="common", benchmark=True, crop_source=crop, device="cpu")
    assert run_evaluation(settings, read_local_config(ini))[name].summary()["nme"] < bound


def test_a_box_that_is_off_costs_little(shared_data):
    """Tight boxes moved and scaled by up to 15 %, on every fourth LFPW test photo."""
    from common.files.images import read_image

    annotations = W300(shared_data / "300w", "common", 128).annotations[::4]
    random = np.random.default_rng(0)
    detector = LandmarkDetector.from_pretrained(device="cpu")
    images, boxes = [read_image(a.path) for a in annotations], []
    for annotation in annotations:
        box = landmark_box(annotation.landmarks)
        centre, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        centre, sides = centre + random.uniform(-0.15, 0.15, 2) * sides, sides * random.uniform(0.85, 1.15)
        boxes.append([np.concatenate([centre - sides / 2, centre + sides / 2])])
    faces = detector.predict_batch(images, boxes)
    errors = [nme(face.landmarks, a.landmarks) for (face,), a in zip(faces, annotations, strict=True)]
    assert np.mean(errors) < 3.8 and max(errors) < 12
