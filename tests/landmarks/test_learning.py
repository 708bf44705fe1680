"""The methods learn: one batch can be overfitted."""

import dataclasses

import numpy as np
import pytest
import torch

from common.runtime import make_accelerator
from datasets.augment import Augmentation, BatchTransform
from datasets.loader import RawBatch
from geometry.schemes import IBUG_68
from landmarks.autoencoder import AutoencoderMethod
from landmarks.landmark_training import LandmarkMethod
from landmarks.settings import LandmarkSettings, UnsupervisedSettings
from networks.aae import AAE, AAEConfig
from training.loop import EpochPosition


@pytest.fixture(scope="module")
def batch(drawn):
    from datasets.readers.w300 import W300

    dataset = W300(drawn("w300")[0], "train", 128, "lm_ground_truth")
    samples = [dataset[i] for i in range(4)]
    images = torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2)
    landmarks = torch.from_numpy(np.stack([s.landmarks for s in samples]))
    return RawBatch(images, landmarks, torch.ones(4, 68), torch.arange(4))


def run(method, batch, steps):
    places = [EpochPosition(step, 0, 1) for step in range(steps)]
    return [{k: float(v.detach()) for k, v in method.training_step(batch, p.number, p).items()} for p in places]


TRANSFORM = BatchTransform(128, None, IBUG_68.flip_permutation, Augmentation(0, flip=0.0))


@pytest.mark.slow
def test_autoencoder_overfits_one_batch(batch):
    settings = dataclasses.replace(UnsupervisedSettings(), lr=1e-3, with_ssim_loss=True)
    networks = AAE(AAEConfig(128, normalize=False))
    method = AutoencoderMethod(networks, settings, make_accelerator("cpu"), TRANSFORM, {})
    losses = [terms["l_rec"] for terms in run(method, batch, 20)]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.slow
def test_landmarks_overfit_one_batch(batch):
    options = {"train_encoder": True, "encoder_batchnorm": "train", "lr": 1e-3, "lr_heatmaps": 3e-3, "w_coords": 1.0}
    settings = dataclasses.replace(LandmarkSettings(), coords_epochs=99, print_every=1000, **options)
    networks = AAE(AAEConfig(128, normalize=False, num_landmarks=68, coords_head=True))
    method = LandmarkMethod(networks, settings, make_accelerator("cpu"), TRANSFORM, IBUG_68, {})
    terms = run(method, batch, 40)
    assert terms[-1]["l_coords"] < 0.3 * terms[0]["l_coords"]
