"""What a type checker makes of a program that uses `faces`: never run, pyright checks it in `make lint`."""

import numpy as np
from torch import nn

from faces import (
    DepthPredictor,
    Face,
    FaceFitter,
    FaceRegressor,
    LandmarkDetector,
    Predictor,
    Reconstructor,
    list_models,
    load_face_model,
    load_model,
    read_image,
)

image: np.ndarray = read_image("photo.jpg")
names: list[str] = list_models("landmarks")
for name in names:
    faces: list[Face] = load_model(name)(image)
    several: list[list[Face]] = load_model(name).predict_batch([image, image])
network: nn.Module = load_model("identity")
scores: list[float] = [detection.score for detection in load_model("yunet")(image)]
predictors: list[Predictor] = [
    LandmarkDetector.from_pretrained(),
    DepthPredictor.from_pretrained(),
    FaceRegressor.from_pretrained("regressor_120"),
    FaceFitter.from_pretrained(),
    FaceFitter(load_face_model("head"), DepthPredictor.from_pretrained().finder),
    Reconstructor.from_pretrained("reconstructor"),
]
