"""Packed crops in others' layouts: what is written is read back as the same labels."""

import cv2
import numpy as np
import pytest
import torch

from datasets.crop import Crop
from recon3d.regression import write_layouts
from recon3d.regression.data import PackedCrops, PackedSample, TddfaLists, pack_crops, packed_resolution
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.labels import parameters_in_crop, read_fitted_face
from recon3d.regression.params import Layout
from tests.recon3d.regression.small_models import random_parameters, small_model


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Four crops of faces seen by weak perspective."""
    side = packed_resolution(120)
    parameters = random_parameters(4, size=side)
    image = cv2.resize(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8), (side, side))
    samples = (PackedSample(image, row.numpy(), f"f{i}") for i, row in enumerate(parameters))
    return pack_crops(samples, 4, tmp_path_factory.mktemp("set") / "set", Layout(), 120, "small", say=print)


def test_300wlp_files_are_read_as_the_same_labels(packed, tmp_path):
    small_model().save(tmp_path / "model.safetensors")
    flags = [
        "--from",
        str(packed.folder),
        "--out",
        str(tmp_path / "lp"),
        "--face-model",
        str(tmp_path / "model.safetensors"),
    ]
    assert write_layouts.main(["300wlp", *flags]) == 0
    whole = Crop(np.eye(2, 3), packed.resolution)
    decoder = FaceDecoder(small_model(), Layout(), small_model().landmarks["ibug68"])
    for row in range(4):
        face = read_fitted_face(tmp_path / f"lp/{row:06d}.mat", packed.resolution)
        label = parameters_in_crop(face.camera, face.identity, face.expression, whole, Layout())
        assert np.allclose(label, packed.parameters[row], rtol=1e-4, atol=2e-3)
        points = decoder(label[None])
        points = CONVENTIONS["continuous"].to_crop(points, packed.resolution, torch.ones(1))[0].numpy()
        assert np.abs(points - face.landmarks).max() < 1e-2
        read = cv2.imread(str(tmp_path / f"lp/{row:06d}.jpg"))[..., ::-1].astype(float)
        assert np.abs(read - packed.read_image(row)).mean() < 4


def test_3ddfa_lists_are_read_as_the_same_labels(packed, tmp_path):
    assert write_layouts.main(["3ddfa", "--from", str(packed.folder), "--out", str(tmp_path)]) == 0
    lists = TddfaLists(tmp_path, tmp_path / "crops")
    labels = CONVENTIONS["v1"].to_continuous(torch.from_numpy(lists.parameters), torch.ones(4))
    assert np.allclose(labels, packed.inner_parameters(), rtol=1e-4, atol=2e-3)
    inner = packed.read_image(2)[20:140, 20:140].astype(float)
    assert np.abs(lists.read_image(2) - inner).mean() < 4


def test_what_the_layouts_cannot_hold_is_refused(tmp_path, capsys):
    side = packed_resolution(120)
    parameters = random_parameters(2, size=side, identity=80, expression=52)
    samples = (PackedSample(np.zeros((side, side, 3), np.uint8), row.numpy(), "f") for row in parameters)
    pack_crops(samples, 2, tmp_path / "head", Layout(80, 52), 120, "head", say=print)
    for kind, message in (
        ("300wlp", "hold 199 and 29"),
        ("3ddfa", "of 120 px with 40 and 10"),
        ("pts", "name one layout"),
    ):
        assert write_layouts.main([kind, "--from", str(tmp_path / "head"), "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert message in error and "Traceback" not in error
    assert len(PackedCrops(tmp_path / "head")) == 2
