"""Albedo and light of reconstructions: fitted to the photo by default, the network's own on request."""

import numpy as np
import pytest
import torch

import demo
from common.errors import DataError
from datasets.alignment import five_of_68
from datasets.synthetic.faces import embedded_faces
from morphable.open import load_face_model
from recon3d.inference.reconstructor import Reconstructor
from recon3d.scores.candidates import candidates


@pytest.fixture(scope="module")
def photos():
    """Two rendered photos, their 68 points and five of those."""
    batch = embedded_faces(160, seed=21).batch(0, 2)
    points = batch.landmarks_2d.double().numpy()
    return list(batch.images.numpy()), points, list(five_of_68(points))


@pytest.fixture(scope="module")
def fitted(photos):
    return Reconstructor.from_pretrained("reconstructor_small", device="cpu").reconstruct(photos[0], photos[2])


@pytest.fixture(scope="module")
def plain(photos):
    return Reconstructor.from_pretrained("reconstructor_small", device="cpu", appearance="network").reconstruct(
        photos[0], photos[2]
    )


def test_only_albedo_and_light_change(fitted, plain):
    assert fitted.fitted and not plain.fitted
    assert fitted.model.name == "head#photos" and plain.model.name == "head"
    for name in ("identity", "expression", "angles", "translation"):
        assert torch.equal(getattr(fitted.coefficients, name), getattr(plain.coefficients, name))
    assert torch.equal(fitted.network.vector(), plain.coefficients.vector())
    assert torch.equal(fitted.network_colours, plain.colours) and torch.equal(
        fitted.geometry.screen, plain.geometry.screen
    )
    assert torch.allclose(fitted.albedo, load_face_model("head#photos").colours(fitted.coefficients.albedo), atol=1e-6)


def test_fitted_colours_are_nearer_to_the_photo(fitted, photos):
    inside = torch.from_numpy(np.stack([crop.apply(points) for crop, points in zip(fitted.crops, photos[1])])).float()
    pictures = torch.from_numpy(fitted.images).float() / 255
    found = candidates(fitted, inside)
    errors = {name: candidate.photometric_errors(fitted.model, pictures).mean() for name, candidate in found.items()}
    assert errors["R-Net"] < 0.8 * errors["R-Net, own colours"]
    assert torch.allclose(found["R-Net+GCN"].colours, fitted.colours, atol=1e-5)


def test_one_person_has_one_albedo_and_each_photo_its_light(photos):
    reconstructor = Reconstructor.from_pretrained("reconstructor_small", device="cpu")
    faces = reconstructor.reconstruct(photos[0], photos[2])
    person = reconstructor.as_one_person(faces)
    assert torch.equal(person.albedo[0], person.albedo[1]) and not torch.equal(faces.albedo[0], faces.albedo[1])
    assert (person.coefficients.gamma[0] - person.coefficients.gamma[1]).abs().max() > 0.01
    again = reconstructor.as_one_person(person)
    assert torch.allclose(again.albedo, person.albedo, atol=1e-4)


def test_wrong_appearances_are_refused(tmp_path, capsys):
    with pytest.raises(DataError, match="choose one of: auto, photo, network"):
        Reconstructor.from_pretrained("reconstructor", appearance="painted")
    with pytest.raises(SystemExit) as exit_:
        demo.main(["--task", "reconstruct", "--appearance", "painted", "--out", str(tmp_path)])
    assert exit_.value.code == 2 and "choose from 'auto', 'photo', 'network'" in capsys.readouterr().err
