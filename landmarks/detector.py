"""The library's front door: photo in, faces with landmarks out.

detector = LandmarkDetector.from_pretrained()
faces = detector(image)                      # (H, W, 3) uint8 RGB → list of Face
faces = detector(image, [box], box_kind="dlib")   # boxes of your own, and what drew them
faces = detector(image, crops=[square])      # squares that the network sees as they are
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.errors import CheckpointError, DataError
from common.pretrained import DEFAULT_LANDMARKS, full_name
from common.runtime import autocast, choose_device
from datasets.crop import Crop, crop_from_box, crop_from_landmarks, landmark_roll, turned_crop
from datasets.detection.boxes import CROP_KIND, UPRIGHT_RAD, Detection, check_box, crop_of_detection
from datasets.detection.detect import DEFAULT_DETECTOR, DetectFaces, make_detector
from datasets.detection.locate import locate as locate_face
from datasets.face import Face
from datasets.sample import landmark_box
from geometry.heatmaps import render_heatmaps
from landmarks.confidence import Calibration, read_calibration
from landmarks.inference import Prediction, predict, to_pictures, validation_transform
from landmarks.models import LoadedModel, load_model
from landmarks.net_models import LoadedNet
from networks.aae import AAE
from networks.landmark_heads import HEATMAP_SIZE

DRAWN_SIGMA = 2.5  # px of 128, of heatmaps drawn from points
UNBOUNDED = (2**31, 2**31)  # photo size of a crop rule that may leave the photo
MOST_RESIZED = 4.0  # a second crop that differs more in size comes of landmarks that are none
Boxes = Sequence[np.ndarray]  # (4,) left, top, right, bottom in continuous photo px


@dataclass(frozen=True)
class Analysis:
    """A face with what the networks made of it: (S, S, 3) uint8 crop and reconstruction, (K, 128, 128) heatmaps."""

    face: Face
    picture: np.ndarray
    reconstruction: np.ndarray
    heatmaps: np.ndarray


@dataclass(frozen=True)
class Reading:
    """What the last pass made of a batch of faces.

    Attributes: data (B, 3, S, S) that the networks saw; features: (B,) each, by the names of
        `landmarks.confidence.FEATURES`.
    """

    data: torch.Tensor
    crops: list[Crop]
    landmarks: list[np.ndarray]
    prediction: Prediction
    features: dict[str, np.ndarray]


class LandmarkDetector:
    """Detector and networks behind one call; all faces of all given photos go through the networks in one batch.

    A face *box* is what a detector or an annotator draws around a face; a *crop* is the square that the networks see.
    The table `datasets.detection.boxes.BOX_RULES` gives the first crop of a box, the landmarks of the first pass the
    second one.

    Args:
        model: from `landmarks.models.load_model`.
        device: auto, cpu, cuda or mps.
        detector: "yunet", "dlib", "faceboxes:FILE", "none" (the photo is one crop) or any function image → list of
            Detection.
        passes: 2 cuts every face again by the landmarks of the first pass, which corrects coarse boxes and crops.
        flip: average with the mirrored crop; takes twice as long.
        locate: look for eyes, nose and mouth in every box that came without, which takes 3 ms; False: the box alone
            counts.
        precision: no (float32) or bf16 (autocast) for the networks.
    Raises: CheckpointError for a model without a landmark head; DataError for an unknown detector.
    """

    def __init__(
        self,
        model: LoadedModel | LoadedNet,
        *,
        device: str = "auto",
        detector: str | DetectFaces = DEFAULT_DETECTOR,
        passes: int = 2,
        flip: bool = False,
        locate: bool = True,
        precision: str = "no",
    ) -> None:
        if model.scheme is None:
            raise CheckpointError(f"{model.folder}: has no landmark head; train one with train_aae_landmarks.py.")
        self.detect, self.passes, self.locate = make_detector(detector), passes, locate
        self.device, self.precision = choose_device(device), precision
        self.networks = model.networks.to(self.device).to(memory_format=torch.channels_last).eval()
        self.scheme, self.crop_source = model.scheme, model.crop_source
        self.extend: tuple[float, float] | None = crop_extension(model.info, model.folder)
        self.calibration: Calibration = read_calibration(model.info, model.folder)
        self.size = self.networks.config.input_size
        self.transform = validation_transform(self.size, self.networks.config.normalize)
        self.permutation = torch.as_tensor(self.scheme.flip_permutation) if flip else None

    @classmethod
    def from_pretrained(
        cls, name: str = DEFAULT_LANDMARKS, snapshots: Path | None = None, **options: Any
    ) -> "LandmarkDetector":
        """By bundled name, session, session/epoch or path.

        Args: snapshots: folder of sessions, default that of local_config.ini; options as in the constructor.
        Raises: CheckpointError.
        """
        return cls(load_model(full_name(name), snapshots), **options)

    def __call__(
        self, image: np.ndarray, boxes: Boxes | None = None, *, box_kind: str = "landmarks", crops: Boxes | None = None
    ) -> list[Face]:
        """Faces of one photo, surest detection first; empty when there is none.

        Args:
            image: (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey, uint8.
            boxes: (4,) left, top, right, bottom of faces, instead of the detector.
            box_kind: what drew them, one of `datasets.detection.boxes.BOX_KINDS`; landmarks: tight around brows, chin
                and the sides of the face.
            crops: (4,) squares instead, which the first pass sees as they are; with passes=1 nothing else is seen.
        Raises: DataError for a picture that is empty or not uint8, for a box or crop that is not four numbers, not
            finite, without area or outside it, and for boxes and crops at once.
        """
        given, squares = ([one] if one is not None else None for one in (boxes, crops))
        return self.predict_batch([image], given, box_kind=box_kind, crops=squares)[0]

    def predict_batch(
        self,
        images: Sequence[np.ndarray],
        boxes: Sequence[Boxes] | None = None,
        *,
        box_kind: str = "landmarks",
        crops: Sequence[Boxes] | None = None,
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo; boxes or crops are one list per photo, too."""
        return [[a.face for a in photo] for photo in self.analyse(images, boxes, False, box_kind=box_kind, crops=crops)]

    @torch.inference_mode()
    def analyse(
        self,
        images: Sequence[np.ndarray],
        boxes: Sequence[Boxes] | None = None,
        pictures: bool = True,
        *,
        box_kind: str = "landmarks",
        crops: Sequence[Boxes] | None = None,
    ) -> list[list[Analysis]]:
        """Like `predict_batch`, with crops, heatmaps and reconstructions (empty arrays with pictures=False).

        A direct network has no reconstruction; its heatmaps are drawn from its points.
        """
        images = [as_rgb(image) for image in images]
        found = given_faces(boxes, crops, box_kind, len(images))
        if found is None:
            found = [self.detect(image) for image in images]
        owners = [i for i, photo in enumerate(found) for _ in photo]
        detections = [d for photo in found for d in photo]
        results: list[list[Analysis]] = [[] for _ in images]
        if not detections:
            return results
        reading = self.read(images, owners, detections)
        faces = self._faces(reading, detections)
        normalize, prediction = self.networks.config.normalize, reading.prediction
        shown = to_pictures(reading.data, normalize) if pictures else [np.empty(0)] * len(faces)
        rebuilt, maps = self._drawn(prediction) if pictures else ([np.empty(0)] * len(faces),) * 2
        for owner, face, picture, again, heatmaps in zip(owners, faces, shown, rebuilt, maps, strict=True):
            results[owner].append(Analysis(face, picture, again, heatmaps))
        return results

    def _drawn(self, prediction: Prediction) -> tuple[Sequence[np.ndarray] | np.ndarray, np.ndarray]:
        """Reconstructions (empty without an autoencoder) and heatmaps (of a direct network drawn as sure as its
        points).
        """
        if prediction.heatmaps is None or not isinstance(self.networks, AAE):
            scale = HEATMAP_SIZE / self.size
            maps = render_heatmaps(prediction.landmarks.float() * scale, HEATMAP_SIZE, DRAWN_SIGMA, prediction.scores)
            return [np.empty(0)] * len(maps), maps.cpu().numpy()
        rebuilt = to_pictures(self.networks.P(prediction.z), self.networks.config.normalize)
        return rebuilt, prediction.heatmaps.cpu().numpy()

    @torch.inference_mode()
    def read(self, images: Sequence[np.ndarray], owners: Sequence[int], detections: Sequence[Detection]) -> Reading:
        """All passes over faces that were found: detections[i] is of images[owners[i]]. Raises: DataError for a bad
        box.
        """
        crops = [self._first_crop(d, images[i]) for d, i in zip(detections, owners, strict=True)]
        passes = self.passes if self.extend or self.crop_source.startswith("lm_") else 1
        landmarks: list[np.ndarray] = []
        before = None
        for number in range(passes):
            if number:
                before, crops = landmarks, [self._refined(p, c) for p, c in zip(landmarks, crops, strict=True)]
            data = self._cut(images, owners, crops)
            with autocast(self.device, self.precision):
                prediction = predict(self.networks, data, self.permutation)
            landmarks = self._to_photo(prediction, crops)
        return Reading(data, crops, landmarks, prediction, self._features(prediction, crops, landmarks, before))

    def _first_crop(self, detection: Detection, image: np.ndarray) -> Crop:
        """The crop that the model's rule would cut, as far as box and five points tell."""
        check_box(detection.box, image.shape)
        if self.locate and detection.points is None and detection.kind != CROP_KIND:
            detection = locate_face(image, detection)
        return crop_of_detection(detection, "lm_ground_truth" if self.extend else self.crop_source, self.size)

    def _features(
        self, prediction: Prediction, crops: list[Crop], landmarks: list[np.ndarray], before: list[np.ndarray] | None
    ) -> dict[str, np.ndarray]:
        """What the confidence is computed from, as far as passes and mirroring give it."""
        features = {"peak": prediction.scores.mean(dim=1).double().cpu().numpy()}
        if before is not None:
            ways = np.linalg.norm(np.stack(landmarks)[..., :2] - np.stack(before)[..., :2], axis=-1).mean(axis=1)
            features["passes"] = ways * [crop.scale / crop.size for crop in crops]
        if prediction.disagreement is not None:
            features["flip"] = prediction.disagreement.double().cpu().numpy()
        return features

    def _refined(self, landmarks: np.ndarray, crop: Crop) -> Crop:
        """The crop by the last pass's landmarks, turned as the last one, or that one where they allow none."""
        try:
            refined = turned_crop(self.crop_by_landmarks, landmarks, crop.angle_rad)
        except DataError:  # one hopeless box must not cost the other faces of the batch
            return crop
        return refined if 1 / MOST_RESIZED < refined.scale / crop.scale < MOST_RESIZED else crop

    @torch.inference_mode()
    def predict_detections(self, image: np.ndarray, detections: Sequence[Detection]) -> list[Face]:
        """Faces of one photo that were detected elsewhere. Raises: DataError for a bad box."""
        if not detections:
            return []
        return self._faces(self.read([image], [0] * len(detections), detections), detections)

    @torch.inference_mode()
    def predict_crops(self, images: Sequence[np.ndarray], crops: list[Crop]) -> list[Face]:
        """One face in each crop of each photo, in one pass: for crops by landmarks, as in tracking."""
        if not crops:
            return []
        data = self._cut(images, range(len(crops)), crops)
        with autocast(self.device, self.precision):
            prediction = predict(self.networks, data, self.permutation)
        landmarks = self._to_photo(prediction, crops)
        reading = Reading(data, crops, landmarks, prediction, self._features(prediction, crops, landmarks, None))
        return self._faces(reading, [Detection(crop.outline(), float("nan"), CROP_KIND) for crop in crops])

    def next_crop(self, face: Face) -> Crop:
        """Where a face is looked for in the next frame of a video; turned along where it leans. Raises: DataError."""
        angle = face.crop.angle_rad
        roll = landmark_roll(face.landmarks, self.scheme)
        if abs(math.remainder(roll - angle, 2 * math.pi)) > UPRIGHT_RAD:
            angle = roll if abs(roll) > UPRIGHT_RAD else 0.0
        return turned_crop(self.crop_by_landmarks, face.landmarks, angle)

    def crop_by_landmarks(self, landmarks: np.ndarray) -> Crop:
        """The crop of an upright face by its landmarks, as the model was trained on. Raises: DataError."""
        if self.extend is None:
            return crop_from_landmarks(landmarks, self.scheme, self.size)
        return crop_from_box(landmark_box(landmarks), self.size, UNBOUNDED, *self.extend)

    def _cut(self, images: Sequence[np.ndarray], owners: Sequence[int], crops: list[Crop]) -> torch.Tensor:
        cut = np.stack([crop.extract(images[i]) for crop, i in zip(crops, owners, strict=True)])
        tensor = torch.from_numpy(cut).permute(0, 3, 1, 2).to(self.device)
        empty = torch.zeros(len(cut), 0, 2, device=tensor.device)
        return self.transform(tensor, empty, empty[..., 0], torch.arange(len(cut))).images

    def _to_photo(self, prediction: Prediction, crops: list[Crop]) -> list[np.ndarray]:
        points = prediction.landmarks.float().cpu().numpy()
        return [crop.invert(p) for crop, p in zip(crops, points, strict=True)]

    def _faces(self, reading: Reading, detections: Sequence[Detection]) -> list[Face]:
        scores = self.calibration.score(reading.features).tolist()
        rows = zip(reading.landmarks, scores, reading.crops, detections, strict=True)
        return [
            Face(box=d.box, detection_score=d.score, landmarks=points, scheme=self.scheme.name, crop=crop, score=score)
            for points, score, crop, d in rows
        ]


def crop_extension(info: dict, source: Path) -> tuple[float, float] | None:
    """How far crops reach beyond the box of the landmarks, up and down in box heights; None for the rule `crop_source`.

    Raises: CheckpointError for a damaged entry of config.json.
    """
    values = info.get("crop_extend")
    if values is None:
        return None
    try:
        top, bottom = (float(value) for value in values)
    except (TypeError, ValueError):
        raise CheckpointError(f"{source}: its crop_extend is not two numbers; copy the snapshot again.") from None
    return top, bottom


def given_faces(
    boxes: Sequence[Boxes] | None, crops: Sequence[Boxes] | None, box_kind: str, count: int
) -> list[list[Detection]] | None:
    """A user's boxes or crops, a list for each of count photos; None without any.

    Raises: DataError for another number or form of boxes, for an unknown kind, and for boxes and crops at once.
    """
    if boxes is not None and crops is not None:
        raise DataError("got boxes and crops; give one of them.")
    given, kind = (boxes, box_kind) if boxes is not None else (crops, CROP_KIND)
    if given is None:
        return None
    if len(given) != count:
        raise DataError(f"got boxes for {len(given)} photos but {count} photos; give one list of boxes per photo.")
    rows = [[np.asarray(box, dtype=float) for box in photo] for photo in given]
    wrong = next((box for photo in rows for box in photo if box.shape != (4,)), None)
    if wrong is not None:
        raise DataError(f"a face box of shape {wrong.shape} is not left, top, right, bottom; give four numbers.")
    return [[Detection(box, float("nan"), kind) for box in photo] for photo in rows]


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
