"""Turned faces and short videos: the pixels of a landmark end where the new parameters say."""

import numpy as np
import pytest
import torch

from geometry.face_model import FaceModel
from recon3d.face_model import load_face_model
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.drawn import draw_faces, random_faces
from recon3d.regression.params import Layout
from recon3d.regression.profiling import FaceProfiler, ShortVideo, motion_blur, synthesise, turned, warp_by

LAYOUT = Layout(20, 10)
SIDE = 160


@pytest.fixture(scope="module")
def head() -> FaceModel:
    return load_face_model("head")


@pytest.fixture(scope="module")
def face(head):
    """A drawn head that looks straight ahead, and its parameters."""
    parameters = random_faces(head, LAYOUT, 1, SIDE, 0)
    parts = LAYOUT.split(parameters)
    scale = parts.matrix.norm() / 3**0.5
    parameters[:, [0, 1, 2, 4, 5, 6, 8, 9, 10]] = (scale * torch.eye(3)).flatten()
    centre = head.points(head.mean, "ibug68").mean(0) * scale
    parameters[:, [3, 7, 11]] = torch.tensor([SIDE / 2, SIDE / 2, 0.0]) - centre
    ((image, _),) = draw_faces(head, LAYOUT, parameters, SIDE)
    return image, parameters[0]


def landmarks(head, parameters):
    decoder = FaceDecoder(head, LAYOUT, head.landmarks["ibug68"])
    return CONVENTIONS["continuous"].to_crop(decoder(parameters[None]), SIDE, torch.ones(1))[0, :, :2].numpy()


def test_turning_is_a_rotation_about_the_middle(head, face):
    decoder = FaceDecoder(head, LAYOUT)
    angles = torch.tensor([[0.1, 0.3, -0.2]])
    before, after = decoder(face[1][None])[0], decoder(turned(face[1][None], LAYOUT, decoder, angles))[0]
    assert torch.allclose(before.mean(0)[:2], after.mean(0)[:2], atol=1e-3)
    assert torch.allclose(torch.cdist(before[::997], before[::997]), torch.cdist(after[::997], after[::997]), atol=1e-2)


def test_no_turn_changes_nothing(head, face):
    image, parameters = face
    picture, same = FaceProfiler(head, LAYOUT)(image, parameters, torch.zeros(3))
    assert torch.allclose(parameters, same, atol=1e-3)
    assert np.abs(picture.astype(int) - image).mean() < 0.5


def test_turned_pixels_lie_at_the_turned_landmarks(head, face):
    """Dots painted on the nose and the mouth corners move with the parameters."""
    image, parameters = face
    points = landmarks(head, parameters)
    for index in (30, 48, 54, 8):
        painted = np.zeros_like(image)
        rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
        near = (columns - points[index, 0]) ** 2 + (rows - points[index, 1]) ** 2 < 9
        painted[near] = 255
        picture, new = FaceProfiler(head, LAYOUT)(painted, parameters, torch.deg2rad(torch.tensor([5.0, 12.0, 0.0])))
        weight = picture[..., 0].astype(float)
        found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        expected = landmarks(head, new)[index]
        assert np.abs(expected - points[index]).max() > 1  # it did move
        assert np.abs(found - expected).max() < 1.2


def test_background_far_away_stays(face):
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    covered = np.zeros((SIDE, SIDE), bool)
    covered[70:90, 70:90] = True
    columns, rows = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    moved = warp_by(image, np.stack([columns + 3, rows], -1), covered)
    assert (moved[75:85, 75:85] == image[75:85, 78:88]).all() and np.abs(
        moved[0].astype(int) - image[0]
    ).mean() < 10  # a whole pixel would be 85
    assert (warp_by(image, np.zeros((SIDE, SIDE, 2)), np.zeros((SIDE, SIDE), bool)) == image).all()


def test_short_video(head, face):
    image, parameters = face
    profiler = FaceProfiler(head, LAYOUT)
    frames, labels = synthesise(image, parameters, profiler, ShortVideo(frames=5, noise=0, motion_blur=0), seed=3)
    assert frames.shape == (5, SIDE, SIDE, 3) and labels.shape == (5, 42) and (frames[0] == image).all()
    again, _ = synthesise(image, parameters, profiler, ShortVideo(frames=5, noise=0, motion_blur=0), seed=3)
    assert (again == frames).all()
    # a drawing of the last label looks like the last frame, more than the first frame does
    ((drawn, _),) = draw_faces(head, LAYOUT, labels[-1:], SIDE)
    inner = slice(40, 120)
    errors = [np.abs(picture[inner, inner].astype(int) - drawn[inner, inner]).mean() for picture in (frames[-1], frames[0])]
    assert errors[0] < 0.7 * errors[1]


def test_motion_blur_spreads_along_its_direction():
    image = np.zeros((11, 11, 3), np.uint8)
    image[5, 5] = 250
    for direction, place in (([3.0, 0.0], (5, slice(3, 8))), ([0.0, -2.0], (slice(3, 8), 5))):
        blurred = motion_blur(image, np.array(direction))
        assert (blurred[place][:, 0] == 50).all() and blurred[..., 0].sum() == 250
    assert motion_blur(image, np.zeros(2)) is image
