"""Faces of known people for the small identity network: youtube_faces, aligned to the 112 px template and packed
once.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import DataError
from datasets.crop import Crop, padded_size
from datasets.packing import PackedDataset, PackedItem, pack
from datasets.readers.youtube_faces import YoutubeFaces
from datasets.sample import Annotation
from networks.face_embedding import INPUT_PX
from recon3d.identity.features import five_landmarks, template_matrices

MIN_PEOPLE = 4
_FRAME = re.compile(r"(?P<person>.+)_(?P<video>\d)\d$")  # Adam_Sandler_41: video 4, frame 1


class PeopleFrames(YoutubeFaces):
    """All annotated frames of both folders, cut by the similarity of five landmarks to the template of 112 px.

    Splits: people. Frames of one person lie in both folders, so the folders are no split of people.
    """

    name = YoutubeFaces.name
    splits = ("people",)

    def read_annotations(self) -> list[Annotation]:
        return self._read_annotated("training") + self._read_annotated("test")

    def _read_annotated(self, part: str) -> list[Annotation]:
        folder = self.require(self.root / part)
        points = self._read_points(part)
        return [self._annotation(folder, name, points[name]) for name in sorted(points)]

    def _crop(self, annotation: Annotation, image_shape: tuple[int, ...] | None) -> Crop:
        five = five_landmarks(torch.from_numpy(np.asarray(annotation.landmarks, np.float64))[None])
        matrix = template_matrices(five)[0].numpy()
        size = padded_size(self.image_size)
        matrix *= self.image_size / INPUT_PX
        matrix[:, 2] += (size - self.image_size) // 2
        return Crop(matrix, size)


def pack_people(root: Path, cache: Path) -> PackedDataset:
    """Packed frames of everybody. Raises: DataError when the data set is not there."""
    return pack(PeopleFrames(root, "people", INPUT_PX, "lm_ground_truth"), cache)


@dataclass(frozen=True)
class PersonItem:
    """A packed crop and the number of its person."""

    crop: PackedItem
    person: int


@dataclass(frozen=True)
class PeopleBatch:
    """images (B, 3, R, R) uint8, R = padded size; people (B,) int64; indices (B,)."""

    images: Tensor
    people: Tensor
    indices: Tensor


class People(Dataset):
    """Frames of some people, numbered from 0 in the order of their names.

    Attributes: people (N,) and videos (N,) int64 of every frame; persons, their names.
    """

    def __init__(self, packed: PackedDataset, persons: list[str]) -> None:
        self.packed, self.persons = packed, sorted(persons)
        number = {name: i for i, name in enumerate(self.persons)}
        found = [person_and_video(str(name)) for name in packed.names]
        self.rows = [i for i, (person, _) in enumerate(found) if person in number]
        self.people = torch.tensor([number[found[i][0]] for i in self.rows])
        self.videos = torch.tensor([found[i][1] for i in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> PersonItem:
        return PersonItem(self.packed[self.rows[index]], int(self.people[index]))

    def landmarks(self, index: int) -> Tensor:
        """(68, 2) px of the padded crop."""
        return torch.from_numpy(self.packed.landmarks[self.rows[index]][:, :2])

    def name(self, index: int) -> str:
        """What reports call a frame; indices past the end are repetitions."""
        return str(self.packed.names[self.rows[index % len(self)]])


def collate_people(items: list[tuple[int, PersonItem]]) -> PeopleBatch:
    """[(index of the sample in the run, item)] → batch."""
    return PeopleBatch(
        torch.stack([item.crop.image for _, item in items]),
        torch.tensor([item.person for _, item in items]),
        torch.tensor([index for index, _ in items]),
    )


def person_and_video(name: str) -> tuple[str, int]:
    """'training/Adam_Sandler_41.jpg' → ('Adam_Sandler', 4). Raises: DataError for another form."""
    match = _FRAME.fullmatch(Path(name).stem)
    if match is None:
        raise DataError(f"{name}: expected <person>_<video><frame>.jpg, as youtube_faces has them.")
    return match["person"], int(match["video"])


def split_people(packed: PackedDataset, share: float, seed: int) -> tuple[list[str], list[str]]:
    """Names for training and, disjoint, for verification: a share of the people drawn with a seed.

    Raises: DataError when fewer than four, which two folds need, would be on a side.
    """
    persons = sorted({person_and_video(str(name))[0] for name in packed.names})
    held_out = round(share * len(persons))
    if not MIN_PEOPLE <= held_out <= len(persons) - MIN_PEOPLE:
        raise DataError(
            f"--verification-share {share}: leaves {held_out} of {len(persons)} people to verify; {MIN_PEOPLE}"
            " are needed."
        )
    order = torch.randperm(len(persons), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = {persons[i] for i in order[:held_out]}
    return [p for p in persons if p not in chosen], sorted(chosen)
