"""Smoothing of a regressor's parameters: it reaches the dense vertices, in whatever crops the face was seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.crop import square_crop
from networks.regressors import RegressorConfig
from recon3d.regression.models import LoadedRegressor, ParameterRegressor
from recon3d.regression.params import Whitening
from recon3d.regression.regressor import FaceRegressor
from tests.recon3d.regression.small_models import random_parameters, small_model
from video.reader import Frame
from video.smoothing import smooth_tracks
from video.tracking import FrameFaces, TrackedFace


@pytest.fixture(scope="module")
def regressor():
    """An untrained network with the small face model: only its arithmetic is used."""
    config = RegressorConfig(width=0.25, landmarks=68)
    whitening = Whitening(random_parameters(99).mean(0), random_parameters(99).std(0))
    model = ParameterRegressor(config, whitening, "continuous").eval()
    return FaceRegressor(LoadedRegressor(model, {}, Path()), small_model(), detector="none", device="cpu")


def still_face(regressor, noise, count=40):
    """Frames of one face whose parameters and crops jitter: the crops move, the face does not."""
    rng = np.random.default_rng(2)
    truth = random_parameters(1)[0].double().numpy()
    crop = square_crop(np.array([200.0, 150.0]), 180.0, 120)
    (start,) = regressor._faces([crop], None, torch.from_numpy(truth[None]).float(), [np.zeros((68, 3))], [None])
    steady = regressor.photo_parameters(start)
    spread = regressor.parameter_units(start)
    for t in range(count):
        moved = replace(start, crop=square_crop(200 + rng.normal(size=2), 180 + 2 * rng.normal(), 120))
        shaken = steady + noise * spread * rng.normal(size=len(steady))
        tracked = TrackedFace(0, regressor.with_photo_parameters(moved, shaken))
        yield FrameFaces(Frame(t, t / 25, np.zeros((1, 1, 3), np.uint8)), [tracked])


def dense_jitter(regressor, frames):
    """Mean second difference of all vertices over time, about their centre, photo px."""
    screens = torch.stack([regressor.screen([shown.faces[0].face])[0, :, :2] for shown in frames]).numpy()
    return np.abs(np.diff(screens - screens.mean(1, keepdims=True), 2, axis=0)).mean()


@pytest.mark.parametrize(("how", "share"), [("mean", 0.6), ("one_euro", 0.5)])
def test_smoothing_reaches_the_dense_vertices(how, share, regressor):
    raw = list(still_face(regressor, 0.1))
    calm = list(smooth_tracks(iter(raw), how, regressor))
    assert dense_jitter(regressor, calm) < share * dense_jitter(regressor, raw)
    for shown in calm:
        smoothed = shown.faces[0].face
        vertices = regressor.screen([smoothed])[0].numpy()
        assert np.allclose(
            vertices[:68, :2], smoothed.landmarks[:, :2], atol=1e-2
        )  # its landmarks are its first vertices


def test_parameters_survive_the_way_through_the_photo(regressor):
    (tracked,) = next(still_face(regressor, 0.0)).faces
    face = tracked.face
    again = regressor.with_photo_parameters(face, regressor.photo_parameters(face))
    assert np.allclose(again.parameters, face.parameters, rtol=1e-5, atol=1e-4)
    assert np.allclose(again.landmarks, face.landmarks, atol=1e-3) and np.allclose(
        again.rotation, face.rotation, atol=1e-5
    )
