"""The library's front door: photo in, faces with landmarks out.

    detector = LandmarkDetector.from_pretrained("landmarks_300w")
    faces = detector(image)                      # (H, W, 3) uint8 RGB → list of Face
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.errors import CheckpointError, DataError
from common.pretrained import full_name
from common.runtime import choose_device
from datasets.crop import Crop, crop_from_box, crop_from_landmarks, square_crop
from datasets.detection.detect import DETECTORS, Detection, DlibDetector, landmark_square
from datasets.face import Face
from landmarks.inference import Prediction, predict, to_pictures, validation_transform
from landmarks.models import LoadedModel, load_model


@dataclass(frozen=True)
class Analysis:
    """A face with what the networks made of it: (S, S, 3) uint8 crop and reconstruction, (K, 128, 128) heatmaps."""

    face: Face
    picture: np.ndarray
    reconstruction: np.ndarray
    heatmaps: np.ndarray


class LandmarkDetector:
    """Detector and networks behind one call; all faces of all given photos go through the networks in one batch.

    Args:
        model: from `landmarks.models.load_model`.
        device: auto, cpu, cuda or mps.
        detector: "dlib", "none" (the photo is one face) or any function image → list of Detection.
        passes: 2 cuts every face again by the landmarks of the first pass, which corrects coarse boxes.
        flip: average with the mirrored crop; takes twice as long.
    Raises: CheckpointError for a model without a landmark head; DataError for an unknown detector.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        device: str = "auto",
        detector: str | Callable[[np.ndarray], list[Detection]] = "dlib",
        passes: int = 2,
        flip: bool = False,
    ) -> None:
        if model.scheme is None:
            raise CheckpointError(f"{model.folder}: has no landmark head; train one with train_aae_landmarks.py.")
        if isinstance(detector, str):
            if detector not in DETECTORS:
                raise DataError(f"unknown --detector '{detector}'; choose one of: {', '.join(DETECTORS)}.")
            detector = DETECTORS[detector]()
        self.detect, self.passes = detector, passes
        self.device = choose_device(device)
        self.networks = model.networks.to(self.device, memory_format=torch.channels_last).eval()
        self.scheme, self.crop_source = model.scheme, model.crop_source
        self.size = self.networks.config.input_size
        self.transform = validation_transform(self.size, self.networks.config.normalize)
        self.permutation = torch.as_tensor(self.scheme.flip_permutation) if flip else None

    @classmethod
    def from_pretrained(
        cls, name: str = "landmarks_300w", snapshots: Path = Path("data/models/snapshots"), **options: object
    ) -> "LandmarkDetector":
        """By bundled name, session, session/epoch or path; options as in the constructor. Raises: CheckpointError."""
        return cls(load_model(full_name(name), snapshots), **options)

    def __call__(self, image: np.ndarray, boxes: Sequence[np.ndarray] | None = None) -> list[Face]:
        """Faces of one photo, surest detection first; empty when there is none.

        Args: image (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey, uint8; boxes (4,) l, t, r, b instead of the detector.
        Raises: DataError for a picture that is empty or not uint8 and for a box that is not four numbers or outside it.
        """
        return self.predict_batch([image], None if boxes is None else [boxes])[0]

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]] | None = None
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo."""
        return [[a.face for a in photo] for photo in self.analyse(images, boxes, pictures=False)]

    @torch.inference_mode()
    def analyse(
        self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]] | None = None, pictures: bool = True
    ) -> list[list[Analysis]]:
        """Like `predict_batch`, with crops, heatmaps and reconstructions (empty arrays with pictures=False)."""
        images = [as_rgb(image) for image in images]
        if boxes is None:
            found = [self.detect(image) for image in images]
        else:
            found = given_boxes(boxes, len(images))
        owners = [i for i, photo in enumerate(found) for _ in photo]
        detections = [d for photo in found for d in photo]
        results: list[list[Analysis]] = [[] for _ in images]
        if not detections:
            return results
        crops = [self._first_crop(d, images[i]) for d, i in zip(detections, owners, strict=True)]
        data = self._cut(images, owners, crops)
        prediction = predict(self.networks, data, self.permutation)
        for _ in range(self.passes - 1 if self.crop_source.startswith("lm_") else 0):
            crops = [self._refined(p, c) for p, c in zip(self._to_photo(prediction, crops), crops, strict=True)]
            data = self._cut(images, owners, crops)
            prediction = predict(self.networks, data, self.permutation)
        faces = self._faces(prediction, crops, detections)
        shown = to_pictures(data, self.networks.config.normalize) if pictures else [np.empty(0)] * len(faces)
        rebuilt = self._reconstructions(prediction) if pictures else [np.empty(0)] * len(faces)
        maps = prediction.heatmaps.cpu().numpy() if pictures else [np.empty(0)] * len(faces)
        for owner, *parts in zip(owners, faces, shown, rebuilt, maps, strict=True):
            results[owner].append(Analysis(*parts))
        return results

    def _first_crop(self, detection: Detection, image: np.ndarray) -> Crop:
        """The crop that the model's rule would cut, as far as the box tells."""
        box = detection.box
        whole = crop_from_box(box, self.size, image.shape)  # refuses boxes outside the photo
        if self.crop_source.startswith("lm_") and isinstance(self.detect, DlibDetector) and np.isfinite(detection.score):
            return square_crop(*landmark_square(box), self.size)
        return whole

    def _refined(self, landmarks: np.ndarray, crop: Crop) -> Crop:
        """The crop by the first pass's landmarks, or the first one where those allow none."""
        try:
            return crop_from_landmarks(landmarks, self.scheme, self.size)
        except DataError:  # one hopeless box must not cost the other faces of the batch
            return crop

    def _cut(self, images: list[np.ndarray], owners: list[int], crops: list[Crop]) -> torch.Tensor:
        cut = np.stack([crop.extract(images[i]) for crop, i in zip(crops, owners, strict=True)])
        tensor = torch.from_numpy(cut).permute(0, 3, 1, 2).to(self.device)
        empty = torch.zeros(len(cut), 0, 2, device=tensor.device)
        return self.transform(tensor, empty, empty[..., 0], torch.arange(len(cut))).images

    def _to_photo(self, prediction: Prediction, crops: list[Crop]) -> list[np.ndarray]:
        points = prediction.landmarks.float().cpu().numpy()
        return [crop.invert(p) for crop, p in zip(crops, points, strict=True)]

    def _faces(self, prediction: Prediction, crops: list[Crop], detections: list[Detection]) -> list[Face]:
        scores = prediction.scores.mean(dim=1).cpu().tolist()
        landmarks = self._to_photo(prediction, crops)
        rows = zip(landmarks, scores, crops, detections, strict=True)
        return [
            Face(box=d.box, detection_score=d.score, landmarks=points, scheme=self.scheme.name, crop=crop, score=score)
            for points, score, crop, d in rows
        ]

    def _reconstructions(self, prediction: Prediction) -> np.ndarray:
        return to_pictures(self.networks.P(prediction.z), self.networks.config.normalize)


def given_boxes(boxes: Sequence[Sequence[np.ndarray]], count: int) -> list[list[Detection]]:
    """A user's boxes, a list for each of count photos. Raises: DataError for another number or form of boxes."""
    if len(boxes) != count:
        raise DataError(f"got boxes for {len(boxes)} photos but {count} photos; give one list of boxes per photo.")
    rows = [[np.asarray(box, dtype=float) for box in photo] for photo in boxes]
    wrong = next((box for photo in rows for box in photo if box.shape != (4,)), None)
    if wrong is not None:
        raise DataError(f"a face box of shape {wrong.shape} is not left, top, right, bottom; give four numbers.")
    return [[Detection(box, float("nan")) for box in photo] for photo in rows]


def as_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 → (H, W, 3). Raises: DataError for anything else."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise DataError(f"expected a uint8 picture (H, W, 3), got {image.dtype} {image.shape}; convert it first.")
    if image.size == 0:
        raise DataError(f"expected a picture with pixels, got one of {image.shape[1]}×{image.shape[0]}.")
    if image.ndim == 2:
        image = image[..., None]
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[..., :3])
