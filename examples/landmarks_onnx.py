"""68 landmarks of every face of a photo with onnxruntime, NumPy and OpenCV alone: no PyTorch, nothing of this project.

python -m export yunet && python -m export landmarks_fast
python examples/landmarks_onnx.py photo.jpg yunet.onnx landmarks_fast.onnx      # writes photo_landmarks.jpg
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

SIZE = 128  # px of the network's crops


def find(image: np.ndarray, detector: cv2.FaceDetectorYN, network: onnxruntime.InferenceSession) -> list[np.ndarray]:
    """(H, W, 3) uint8 BGR → (68, 2) px of every face, pixel centres at whole numbers."""
    detector.setInputSize(image.shape[1::-1])
    _, faces = detector.detect(image)
    found = []
    for face in [] if faces is None else faces:
        eyes, mouth = face[4:8].reshape(2, 2).mean(0), face[10:14].reshape(2, 2).mean(0)
        centre, side = eyes + 0.57 * (mouth - eyes), 1.226 * np.sqrt(face[2] * face[3])
        for _ in range(2):  # by the detector's box, then by the landmarks
            scale = SIZE / side
            matrix = np.float32([[scale, 0, SIZE / 2 - scale * centre[0]], [0, scale, SIZE / 2 - scale * centre[1]]])
            shifted = matrix + np.float32([[0, 0, scale / 2 - 0.5]] * 2)  # OpenCV counts from the centres of pixels
            crop = cv2.warpAffine(image, shifted, (SIZE, SIZE), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
            crop = np.ascontiguousarray(crop[..., ::-1].transpose(2, 0, 1)[None])  # RGB, (1, 3, S, S)
            points = network.run(["landmarks"], {"crops": crop})[0][0, :, :2] / scale + centre - side / 2
            low, high = points.min(0), points.max(0)
            height = high[1] - low[1]
            low[1], high[1] = low[1] - 0.20 * height, high[1] + 0.12 * height  # as the network was trained
            centre, side = (low + high) / 2, (high - low).max()
        found.append(points - 0.5)
    return found


if __name__ == "__main__":
    photo, yunet, landmarks = sys.argv[1:4]
    picture = cv2.imread(photo)
    for face in find(picture, cv2.FaceDetectorYN.create(yunet, "", (0, 0)), onnxruntime.InferenceSession(landmarks)):
        for x, y in face:
            cv2.circle(picture, (round(float(x)), round(float(y))), 2, (255, 120, 70), -1)
    cv2.imwrite(f"{Path(photo).stem}_landmarks.jpg", picture)
