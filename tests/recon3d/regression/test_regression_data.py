"""Packed crops and 3DDFA's lists: round trips, augmentation that carries parameters along, damaged files."""

import json
import pickle

import cv2
import numpy as np
import pytest
import torch

from common.errors import DataError
from recon3d.regression.augment import CropAugmentation, CropTransform
from recon3d.regression.data import (
    JoinedSets,
    PackedCrops,
    PackedSample,
    TddfaLists,
    collate,
    pack_crops,
    packed_resolution,
)
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.params import Layout
from tests.recon3d.regression.small_models import random_parameters


def samples(count=5, size=120, landmarks=True):
    """Crops in which each landmark of the face is a bright dot."""
    from tests.recon3d.regression.small_models import small_model

    resolution = packed_resolution(size)
    parameters = random_parameters(count, size=resolution)
    points = FaceDecoder(small_model(), Layout(), small_model().landmarks["ibug68"])(parameters)
    points = CONVENTIONS["continuous"].to_crop(points, resolution, torch.ones(count)).numpy()
    for i in range(count):
        image = np.full((resolution, resolution, 3), 40, np.uint8)
        image[..., 0] = 10 * i
        yield PackedSample(image, parameters[i].numpy(), f"face{i}", points[i, :, :2] if landmarks and i != 1 else None)


def test_round_trip(tmp_path):
    packed = pack_crops(samples(), 7, tmp_path / "set", Layout(), 120, "small", say=print)
    assert len(packed) == 5 and packed.resolution == 160 and packed.size == 120 and packed.face_model == "small"
    for i, sample in enumerate(samples()):
        item = packed[i]
        assert (item.image.permute(1, 2, 0).numpy() == sample.image).all()
        assert np.allclose(item.parameters, sample.parameters) and packed.name(i + 5) == f"face{i}"
    assert packed.landmarks.shape == (5, 68, 2) and np.isnan(packed.landmarks[1]).all()
    again = pickle.loads(pickle.dumps(packed))
    assert (again.read_image(3) == packed.read_image(3)).all()
    batch = collate([(3, packed[3]), (8, packed[3])])
    assert batch.images.shape == (2, 3, 160, 160) and batch.indices.tolist() == [3, 8]


def test_whitening_counts_from_the_inner_crop(tmp_path):
    packed = pack_crops(samples(), 5, tmp_path / "set", Layout(), 120, "small", say=print)
    images, inner, _ = CropTransform(120)(
        *(getattr(collate(list(enumerate(packed))), n) for n in ("images", "parameters", "indices"))
    )
    assert torch.allclose(inner, packed.inner_parameters()) and images.shape == (5, 3, 120, 120)
    assert torch.allclose(packed.whitening().mean, inner.mean(0), atol=1e-4)


def test_augmented_parameters_follow_the_picture(tmp_path, face_model):
    """A dot drawn at a landmark is found at the landmark of the moved parameters."""
    resolution, index = 160, 30
    parameters = random_parameters(8, size=resolution)
    decoder = FaceDecoder(face_model, Layout())
    points = CONVENTIONS["continuous"].to_crop(decoder(parameters), resolution, torch.ones(8))[:, index, :2]
    rows = torch.arange(resolution) + 0.5
    dots = torch.exp(
        -((rows[None, None, :] - points[:, 0, None, None]) ** 2 + (rows[:, None] - points[:, 1, None, None]) ** 2) / 18
    )
    images = (dots[:, None].expand(-1, 3, -1, -1) * 255).to(torch.uint8)
    transform = CropTransform(120, CropAugmentation(rotation_deg=25, scale=0.15, shift=0.05))
    moved_images, moved, landmarks = transform(images, parameters, torch.arange(8), 3, points[:, None])
    expected = CONVENTIONS["continuous"].to_crop(decoder(moved), 120, torch.ones(8))[:, index, :2]
    weights = moved_images[:, 0] / moved_images[:, 0].sum(dim=(1, 2), keepdim=True)
    rows = torch.arange(120) + 0.5
    found = torch.stack([(weights.sum(1) * rows).sum(1), (weights.sum(2) * rows).sum(1)], dim=1)
    assert (found - expected).abs().max() < 0.1
    assert torch.allclose(landmarks[:, 0], expected, atol=1e-3)
    assert torch.equal(moved[:, 11], parameters[:, 11])
    again = transform(images, parameters, torch.arange(8), step=3)[0]
    assert torch.equal(again, moved_images) and not torch.equal(
        transform(images, parameters, torch.arange(8), 4)[0], moved_images
    )


def test_treatments_keep_the_range():
    images, parameters = torch.randint(0, 256, (4, 3, 160, 160), dtype=torch.uint8), random_parameters(4)
    treated = CropTransform(120, CropAugmentation(colour=1, blur=1, jpeg=1, occlusion=1))(
        images, parameters, torch.arange(4)
    )[0]
    assert treated.min() >= 0 and treated.max() <= 255 and treated.mean() > 20


def test_damaged_folders_are_named(tmp_path):
    folder = tmp_path / "set"
    pack_crops(samples(), 5, folder, Layout(), 120, "small", say=print)
    np.save(folder / "parameters.npy", np.zeros((5, 60), np.float32))
    with pytest.raises(DataError, match="62 numbers each"):
        PackedCrops(folder)
    np.save(folder / "parameters.npy", np.random.default_rng(0).normal(size=(5, 62)).astype(np.float32))
    with pytest.raises(DataError, match="whitened or count"):
        PackedCrops(folder)
    (folder / "images.npy").write_bytes(b"x")
    with pytest.raises(DataError, match="images.npy"):
        PackedCrops(folder)
    (folder / "info.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(DataError, match="info.json"):
        PackedCrops(folder)
    with pytest.raises(DataError, match="nothing to pack"):
        pack_crops(iter(()), 3, tmp_path / "none", Layout(), 120, "small", say=print)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.fixture
def lists(tmp_path):
    """3DDFA's layout with three crops."""
    configs, images = tmp_path / "train.configs", tmp_path / "crops"
    configs.mkdir()
    images.mkdir()
    for i in range(3):
        cv2.imwrite(str(images / f"{i}.jpg"), np.full((120, 120, 3), 50 * i, np.uint8))
    (configs / "train_aug_120x120.list.train").write_text("".join(f"{i}.jpg\n" for i in range(3)))
    labels = np.random.default_rng(0).normal(size=(3, 62)).astype(np.float32)
    content = {
        "param_all_norm.pkl": labels,
        "param_whitening.pkl": {"param_mean": labels[0], "param_std": abs(labels[1])},
    }
    for name, value in content.items():
        with (configs / name).open("wb") as file:
            pickle.dump(value, file, protocol=2)
    return configs, images, labels


def test_lists(lists):
    configs, images, labels = lists
    data = TddfaLists(configs, images)
    raw = labels[2] * abs(labels[1]) + labels[0]
    assert len(data) == 3 and data.convention == "v1" and data[2].image.shape == (3, 120, 120)
    assert np.allclose(data[2].parameters[[3, 12, 61]], raw[[3, 12, 61]]) and np.isclose(
        data[2].parameters[0], raw[0] * 1e5
    )
    joined = JoinedSets([data, data])
    assert len(joined) == 6 and (joined.read_image(4) == data.read_image(1)).all() and joined.name(5) == "2.jpg"


def test_labels_that_are_not_whitened_are_named(lists):
    configs, images, labels = lists
    with (configs / "param_all_norm.pkl").open("wb") as file:
        pickle.dump(labels * 1e4, file, protocol=2)
    with pytest.raises(DataError, match="param_all_norm.pkl: these labels are not whitened"):
        TddfaLists(configs, images)


def test_missing_lists_are_named(lists):
    configs, images, _ = lists
    (configs / "train_aug_120x120.list.train").write_text("../secret.jpg\n1.jpg\n2.jpg\n")
    with pytest.raises(DataError, match="leaves"):
        TddfaLists(configs, images)[0]
    (configs / "param_all_norm.pkl").unlink()
    with pytest.raises(DataError, match="param_all_norm.pkl is missing; get it from"):
        TddfaLists(configs, images)
    with pytest.raises(DataError, match="choose train or val"):
        TddfaLists(configs, images, "test")
