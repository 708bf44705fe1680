"""What stands beside an autoencoder's scores: against a singular value decomposition and skimage."""

import dataclasses

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

import train_aae_unsupervised
from common.config import LocalConfig
from landmarks.baselines import fit_linear_faces, linear_faces_of
from landmarks.data import training_set, validation_set
from landmarks.settings import UnsupervisedSettings


def test_components_are_those_of_a_singular_value_decomposition():
    pictures = torch.rand(12, 3 * 8 * 8)
    linear = fit_linear_faces(pictures, 5)
    mean, images = pictures.mean(0), torch.rand(4, 3, 8, 8)
    basis = torch.linalg.svd(pictures - mean, full_matrices=False).Vh[:5]
    rebuilt = (mean + (images.flatten(1) - mean) @ basis.T @ basis).clamp(0, 1).view_as(images)
    found = linear.reconstructions(images)
    torch.testing.assert_close(found["pca"], rebuilt, atol=1e-4, rtol=0)
    assert torch.equal(found["mean"][2].flatten(), mean) and linear.photos == 12


def test_components_are_as_many_as_the_photos_allow():
    """Of equal pictures there is none, and the mean is all."""
    linear = fit_linear_faces(torch.full((3, 192), 0.25), 99)
    assert torch.allclose(linear.reconstructions(torch.rand(2, 3, 8, 8))["pca"], torch.tensor(0.25))
    assert len(fit_linear_faces(torch.rand(6, 192), 99).components) == 5


def test_an_evaluation_prints_mean_face_and_components_beside_the_model(drawn, tmp_path, capsys):
    """On w300's common photos, which the 18 training photos are not."""
    local = LocalConfig(None, {"w300": drawn("w300")[0], "data": tmp_path / "data", "outputs": tmp_path / "out"}, {})
    settings = dataclasses.replace(
        UnsupervisedSettings(),
        input_size=128,
        device="cpu",
        crop_source="lm_ground_truth",
        eval=True,
        show=False,
        dataset_train=["w300"],
        dataset_val=["w300"],
        test_split="common",
    )
    train_aae_unsupervised.train_autoencoder(settings, local)
    printed = capsys.readouterr().out
    train, _, _ = training_set(["w300"], "train", settings, local, with_landmarks=False)
    test, _ = validation_set(["w300"], "common", settings, local, with_landmarks=False)
    linear = linear_faces_of(train, 128, 99)
    pictures = torch.stack([test[i].image[:, 27:155, 27:155] for i in range(len(test))]).float() / 255
    for label, name in (("PCA, 99 components", "pca"), ("mean face", "mean")):
        rebuilt = linear.reconstructions(pictures)[name]
        l1 = float((rebuilt - pictures).abs().mean()) * 255
        arrays = [t.permute(0, 2, 3, 1).double().numpy() for t in (rebuilt, pictures)]
        similarity = np.mean(
            [structural_similarity(a, b, channel_axis=2, data_range=1) for a, b in zip(*arrays, strict=True)]
        )
        row = next(line for line in printed.splitlines() if label in line).split()[-2:]
        assert [float(value) for value in row] == pytest.approx([l1, similarity], abs=0.06)
    assert any("autoencoder" in line for line in printed.splitlines()) and "18 training photos" in printed
