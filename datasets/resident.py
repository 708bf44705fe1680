"""All crops of a training set decoded once into one tensor on the device: a step then waits for no file and no
decoder.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from datasets.loader import FaceSet, RawBatch


class ResidentFaces(Dataset):
    """The faces of a set on a device; an item is its own index and `collate` gathers the batch there.

    A crop of 182 px takes 0.1 MB, 30,000 of them 3 GB.

    Attributes: images (N, 3, R, R) uint8, landmarks (N, K, 2 or 3), visibility (N, K), all on the device.
    """

    def __init__(self, faces: FaceSet, device: torch.device, threads: int = 8, progress: bool = True) -> None:
        """Crops that the set names several times are kept once. Raises: DataError for a damaged crop."""
        keys = faces.part_of.astype(np.int64) << 32 | faces.row_of
        _, first, places = np.unique(keys, return_index=True, return_inverse=True)
        self.faces = faces
        self.places = torch.from_numpy(places).to(device)
        example = faces[int(first[0])]
        self.images = torch.empty(len(first), *example.image.shape, dtype=torch.uint8, device=device)
        self.landmarks = torch.empty(len(first), *example.landmarks.shape, device=device)
        self.visibility = torch.empty(len(first), *example.visibility.shape, device=device)
        with ThreadPoolExecutor(threads) as pool:
            items = pool.map(faces.__getitem__, first.tolist(), chunksize=64)
            for place, item in enumerate(
                tqdm(items, total=len(first), desc="decoding", disable=not progress, leave=False)
            ):
                self.images[place] = item.image
                self.landmarks[place], self.visibility[place] = item.landmarks, item.visibility

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, items: list[tuple[int, int]]) -> RawBatch:
        """[(index of the sample in the run, index in the set)] → RawBatch on the device."""
        pairs = torch.tensor(items).to(self.images.device, non_blocking=True)
        return self.gather(pairs[:, 1], pairs[:, 0])

    def gather(self, rows: Tensor, indices: Tensor) -> RawBatch:
        """Faces of those rows of the set under those indices of the run, both (B,) int64."""
        places = self.places[rows]
        return RawBatch(self.images[places], self.landmarks[places], self.visibility[places], indices)
