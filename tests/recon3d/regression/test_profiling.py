"""Turned faces and short videos: the pixels of a landmark end where the new parameters say."""

import numpy as np
import pytest
import torch

from drawing.surfaces import position_codes
from morphable.model import FaceModel
from morphable.open import load_face_model
from morphable.scene import Scene
from recon3d.regression.data import RegressionBatch
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.drawn import draw_faces, random_faces
from recon3d.regression.params import Layout
from recon3d.regression.profiling import FaceProfiler, spread, turned
from recon3d.regression.short_video import ShortVideo, VideoSynthesis, motion_blur

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


def turn(head, image, parameters, pitch, yaw):
    """One picture (S, S, 3) turned by degrees, and its parameters."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    angles = torch.deg2rad(torch.tensor([[float(pitch), float(yaw), 0.0]]))
    pictures, new = FaceProfiler(head, LAYOUT)(pixels, parameters[None], angles)
    return pictures[0].permute(1, 2, 0).numpy(), new[0]


def test_no_turn_changes_nothing(head, face):
    image, parameters = face
    picture, same = turn(head, image, parameters, 0, 0)
    assert torch.allclose(parameters, same, atol=1e-3)
    assert np.abs(picture - image).mean() < 0.5


def test_turned_pixels_lie_at_the_turned_landmarks(head, face):
    """Dots painted on the nose and the mouth corners move with the parameters."""
    image, parameters = face
    points = landmarks(head, parameters)
    for index in (30, 48, 54, 8):
        painted = np.zeros_like(image)
        rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
        near = (columns - points[index, 0]) ** 2 + (rows - points[index, 1]) ** 2 < 9
        painted[near] = 255
        picture, new = turn(head, painted, parameters, 5, 12)
        weight = picture[..., 0].astype(float)
        found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        expected = landmarks(head, new)[index]
        assert np.abs(expected - points[index]).max() > 1  # it did move
        assert np.abs(found - expected).max() < 1.2


def coded(head, parameters):
    """The head painted with its own y and z, the same on both sides: colours that tell where on the surface a pixel
    lies.
    """
    flat = CONVENTIONS["continuous"].to_crop(FaceDecoder(head, LAYOUT)(parameters[None]), SIDE, torch.ones(1))
    flat = flat * torch.tensor([1.0, 1.0, -1.0])
    scene = Scene(flat, flat, head.triangles, (SIDE, SIDE))
    return position_codes(scene, head), scene.mask.numpy()


@pytest.mark.parametrize("yaw", [-30, 15, 30])
def test_turned_picture_is_the_turned_head(head, face, yaw):
    """Pixels show the point of the surface that the new parameters put there, also where the photo hides it."""
    image, parameters = face
    picture, new = turn(head, coded(head, parameters)[0], parameters, 0, yaw)
    drawn, covered = coded(head, new)
    error = np.abs(picture[covered][:, 1:] - drawn[covered][:, 1:].astype(float)).max(1)
    assert np.median(error) < 4 and (error > 40).mean() < 0.15


def test_the_old_face_is_not_left_behind_and_the_border_stays(head, face):
    image, parameters = face
    painted = np.where(image.sum(-1, keepdims=True) > 0, np.uint8([255, 0, 0]), np.uint8([0, 0, 255]))
    picture, new = turn(head, painted, parameters, 0, 40)
    ((drawn, _),) = draw_faces(head, LAYOUT, new[None], SIDE)
    beside = (drawn.sum(-1) == 0) & (image.sum(-1) > 0)
    assert beside.sum() > 100 and (picture[beside][:, 2] > 128).mean() > 0.9
    assert np.abs(picture[:, 0] - painted[:, 0]).max() < 1


def test_hidden_side_comes_from_the_mirrored_one(head, face):
    """A face in half profile, painted with a spot on its visible cheek: turned to the front it has the spot on both."""
    image, parameters = face
    decoder = FaceDecoder(head, LAYOUT)
    profile = turned(parameters[None], LAYOUT, decoder, torch.tensor([[0.0, 0.9, 0.0]]))[0]
    points = landmarks(head, profile)
    near = 1 if np.ptp(points[[1, 31], 0]) > np.ptp(points[[15, 35], 0]) else 0
    shown, hidden = (
        points[[36, 45]][1 - near] * 0.6 + points[[48, 54]][1 - near] * 0.4,
        (45, 54) if near else (36, 48),
    )
    painted = np.full_like(image, 90)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    painted[(columns - shown[0]) ** 2 + (rows - shown[1]) ** 2 < 30] = 255
    picture, front = turn(head, painted, profile, 0, float(-np.rad2deg(0.9)))
    ends = landmarks(head, front)[list(hidden)]
    x, y = (0.6 * ends[0] + 0.4 * ends[1]).astype(int)
    assert picture[y - 3 : y + 4, x - 3 : x + 4].max() > 200


def test_spread_fills_from_the_nearest():
    values, weights = torch.zeros(1, 1, 37, 53), torch.zeros(1, 1, 37, 53)
    values[..., :5], weights[..., :5] = 10.0, 1.0
    values[..., 40:], weights[..., 40:] = 30.0, 1.0
    filled = spread(values + 99 * (1 - weights), weights)
    assert (
        torch.equal(filled[..., :5], values[..., :5])
        and 10 <= filled[..., 7].mean() < 15
        and 25 < filled[..., 37].mean() <= 30
    )


def batch_of(face):
    return RegressionBatch(
        torch.from_numpy(face[0].copy()).permute(2, 0, 1)[None].repeat(2, 1, 1, 1),
        face[1][None].repeat(2, 1),
        torch.tensor([4, 9]),
        torch.zeros(2, 68, 2),
    )


def test_short_video(head, face):
    synthesis = VideoSynthesis(FaceProfiler(head, LAYOUT), ShortVideo(frames=5, noise=0, motion_blur=0), seed=3)
    clip = synthesis(batch_of(face), 0)
    assert clip.landmarks.isnan().all()  # where the outline is marked changes with the pose
    assert clip.images.shape == (10, 3, SIDE, SIDE) and clip.parameters.shape == (10, 42)
    assert (
        clip.indices.tolist() == [*range(20, 25), *range(45, 50)]
        and (clip.images[[0, 5]] == batch_of(face).images).all()
    )
    assert torch.equal(synthesis(batch_of(face), 0).images, clip.images) and not torch.equal(
        clip.images[4], clip.images[9]
    )
    assert not torch.equal(synthesis(batch_of(face), 1).parameters[4], clip.parameters[4])
    # a drawing of the last label looks like the last frame, more than the first frame does
    inner = slice(40, 120)
    for first, last in ((0, 4), (5, 9)):
        ((drawn, _),) = draw_faces(head, LAYOUT, clip.parameters[last][None], SIDE)
        frames = [clip.images[k].permute(1, 2, 0).numpy() for k in (last, first)]
        errors = [np.abs(frame[inner, inner] - drawn[inner, inner]).mean() for frame in frames]
        assert errors[0] < 0.7 * errors[1]


def test_short_video_changes_within_its_ranges(head, face):
    options = ShortVideo(frames=2, noise=4, motion_blur=0, turn_deg=0, rotation_deg=0, scale=0, shift_px=5)
    grey = (np.full_like(face[0], 128), face[1])
    clip = VideoSynthesis(FaceProfiler(head, LAYOUT), options, seed=1)(batch_of(grey), 0)
    moved = clip.parameters[1::2] - clip.parameters[::2]
    assert (
        0 < moved[:, [3, 7]].abs().max() <= 5.001 and moved[:, 12:].abs().max() == 0 and moved[:, :3].abs().max() < 1e-3
    )
    assert 3.8 < clip.images[1, :, 30:130, 30:130].std() < 4.2 and clip.images[0].std() == 0


def test_short_video_of_the_authors_labels(head, face):
    """The same clip, whichever pixels the labels count."""
    parts = {"options": ShortVideo(frames=3, noise=0, motion_blur=0), "seed": 2}
    batch, v1 = batch_of(face), CONVENTIONS["v1"]
    shifted = RegressionBatch(batch.images, batch.parameters.clone(), batch.indices, batch.landmarks)
    shifted.parameters[:, 7] += 1  # y ← side + 1 − y
    one = VideoSynthesis(FaceProfiler(head, LAYOUT), **parts)(batch, 0)
    other = VideoSynthesis(FaceProfiler(head, LAYOUT), convention=v1, **parts)(shifted, 0)
    assert torch.allclose(one.images, other.images, atol=0.5)
    other.parameters[:, 7] -= 1
    assert torch.allclose(one.parameters, other.parameters, atol=1e-3)


def test_motion_blur_spreads_along_its_direction():
    images = torch.zeros(3, 3, 11, 11)
    images[..., 5, 5] = 250
    blurred = motion_blur(images, torch.tensor([[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]]))
    assert torch.allclose(blurred[0, 0, 5, 3:8], torch.full((5,), 50.0)) and torch.allclose(
        blurred[1, 2, 3:8, 5], torch.full((5,), 50.0)
    )
    assert torch.allclose(blurred[2], images[2]) and torch.allclose(blurred.sum((2, 3)), torch.full((3, 3), 250.0))
