"""Crops in memory are those of the packed files, whatever the order and however often they are named."""

import numpy as np
import torch

from datasets.loader import FaceSet, collate
from datasets.packing import pack, replace_landmarks
from datasets.readers.w300 import W300
from datasets.resident import ResidentFaces


def test_gathers_what_the_loader_collates(drawn, tmp_path):
    packed = pack(W300(drawn("w300")[0], "train", 64), tmp_path, progress=False)
    faces = FaceSet([packed], [np.array([1, 0, 1, 1])])
    resident = ResidentFaces(faces, torch.device("cpu"), progress=False)
    assert len(resident) == 4 and len(resident.images) == 2
    ours = resident.collate([(7, 2), (8, 1)])
    theirs = collate([(7, faces[2]), (8, faces[1])])
    for name in ("images", "landmarks", "visibility", "indices"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))


def test_relabelled_crops_show_the_same_pictures(drawn, tmp_path):
    packed = pack(W300(drawn("w300")[0], "train", 64), tmp_path / "cache", progress=False)
    points = np.arange(len(packed) * 10, dtype=np.float32).reshape(len(packed), 5, 2)
    rows = np.array([1, 0])
    other = replace_landmarks(packed, tmp_path / "labelled", rows, points, np.ones((len(packed), 5)))
    assert len(other) == 2 and list(other.names) == list(packed.names[rows])
    np.testing.assert_array_equal(other.landmarks, points[rows])
    np.testing.assert_array_equal(other.read_image(0), packed.read_image(1))
