"""Stand-ins for networks: faces that are bright squares, and a face of given landmarks."""

import cv2
import numpy as np

from datasets.crop import square_crop
from datasets.detection.boxes import Detection
from datasets.face import Face
from recon3d.regression.roi import crop_from_points

UNIT = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 3))


class DrawnFollower:
    """Finds bright squares; its landmarks lie in the square, as long as it is within the region."""

    size = 120

    def __init__(self):
        self.detections = self.searches = 0

    def detect(self, image):
        self.searches += 1
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
        return [Detection(np.array([x, y, x + w, y + h], float), 1.0) for x, y, w, h, _ in stats[1:]]

    def predict_detections(self, image, detections):
        self.detections += len(detections)
        crops = [square_crop((d.box[:2] + d.box[2:]) / 2, (d.box[2] - d.box[0]) * 1.5, 120) for d in detections]
        return self.predict_crops([image] * len(crops), crops)

    def next_crop(self, face):
        return crop_from_points(face.landmarks, self.size)

    def predict_crops(self, images, crops):
        faces = []
        for image, crop in zip(images, crops, strict=True):
            cut = crop.extract(image)[..., 0] > 128
            rows, columns = np.nonzero(cut)
            if len(rows):
                middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
                side = np.sqrt(len(rows))
            else:  # a network answers with something wherever it looks
                middle, side = np.array([300.0, 300.0]), 20.0
            local = np.column_stack([middle + UNIT[:, :2] * side, UNIT[:, 2] * side])
            faces.append(face(crop, crop.invert(local)))
        return faces


def face(crop, landmarks):
    return Face(
        box=np.zeros(4),
        detection_score=1.0,
        crop=crop,
        parameters=np.zeros(62),
        landmarks=landmarks,
        scheme="ibug68",
        rotation=np.eye(3),
        angles_deg=np.zeros(3),
        scale=1.0,
    )


def pattern(seed, side=80):
    """(side, side, 3) bright blotches, different for every seed."""
    blotches = np.random.default_rng(seed).integers(135, 255, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(blotches, (side, side), interpolation=cv2.INTER_CUBIC).clip(135, 255)


def frame(*centres, side=80, seeds=None):
    """Dark with a bright square at each centre; seeds of their patterns, default each its own."""
    image = np.zeros((400, 600, 3), np.uint8)
    for number, (x, y) in enumerate(centres):
        square = pattern(number if seeds is None else seeds[number], side)
        image[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = square
    return image
