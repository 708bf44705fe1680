"""Rendered faces as packed crops: labels on the faces, the same faces every time, nothing overwritten."""

import numpy as np
import pytest
import torch

from common.errors import DataError
from datasets.commands.render import main, marked, samples
from datasets.packing import PackedDataset, write_packed
from datasets.synthetic.rendered import SyntheticFaces, SyntheticSettings
from morphable.model import EMBEDDED_HEAD, FaceModel


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(0)
    return SyntheticFaces(FaceModel.load(EMBEDDED_HEAD), SyntheticSettings(size_px=96), seed=3).batch(0, 6)


def test_jaws_go_from_the_silhouette_to_the_skull(batch):
    points, yaw = marked(batch), batch.angles_deg[:, 1].abs()
    frontal, profile = yaw <= 35, yaw >= 60
    assert frontal.any()
    torch.testing.assert_close(points[frontal], batch.landmarks_2d[frontal])
    torch.testing.assert_close(points[profile], batch.landmarks["ibug68"][profile][..., :2])


def test_crops_hold_their_landmarks(batch, tmp_path):
    cut = samples(batch, 0, 64)
    packed = write_packed(tmp_path / "rendered", iter(cut), 64)
    assert len(packed) == 6 and packed.landmarks.shape == (6, 68, 2)
    offset = (packed.resolution - 64) // 2
    inner = packed.landmarks - offset
    assert inner.min() > -1 and inner.max() < 65
    with pytest.raises(DataError, match="is there already"):
        write_packed(tmp_path / "rendered", iter(cut), 64)


def test_command(tmp_path):
    assert main([str(tmp_path / "a"), "--count", "2", "--size", "32", "--processes", "1"]) == 0
    packed = PackedDataset(tmp_path / "a")
    assert len(packed) == 2 and np.isfinite(packed.landmarks).all()
    assert main([str(tmp_path / "a"), "--count", "2", "--size", "32", "--processes", "1"]) == 2
