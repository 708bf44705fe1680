"""What reconstructions are compared with, on the same photos: the mean face, a landmark fit, R-Net, R-Net with its
refiner.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from geometry.cameras import weak_perspective
from geometry.raster.rasteriser import interpolate, rasterize
from morphable.fit import DETECTOR_NOISE, Fit, FitSettings, fit_landmarks
from morphable.light import shading
from morphable.model import FaceModel
from recon3d.fitting.appearance import Placed, light_and_albedo_seen
from recon3d.fitting.photometric import placed, skin_weights
from recon3d.inference.reconstructor import ReconstructedFaces
from recon3d.reconstruction import losses
from recon3d.reconstruction.renderer import Geometry


@dataclass(frozen=True)
class Candidate:
    """B faces as one method has them, in px of the crops."""

    shape: Tensor  # (B, V, 3) unposed, dm
    landmarks: Tensor  # (B, 68, 2)
    screen: Tensor  # (B, V, 3) x, y down, depth
    colours: Tensor  # (B, V, 3) lit
    perspective: bool  # whether the screen is that of a pinhole

    def photometric_errors(self, model: FaceModel, photos: Tensor) -> Tensor:
        """(B,) mean distance of RGB colours 0 … 1 between the drawn face and photos (B, H, W, 3), over the pixels where
        the candidate shows facial skin or lips. NaN where it shows none.
        """
        size = tuple(photos.shape[1:3])
        ids = rasterize(self.screen, model.triangles, size, perspective=self.perspective, allow_empty=True)
        skin = skin_weights(model)[:, None].expand(len(photos), -1, -1)
        drawn = interpolate(self.screen, model.triangles, ids, torch.cat([self.colours, skin], -1), self.perspective)
        errors = []
        for colours, share, photo in zip(drawn[..., :3], drawn[..., 3], photos, strict=True):
            mask = (share > 0.5).float()[None]
            error = losses.photometric_loss(colours[None], photo[None], mask)
            errors.append(torch.where(mask.any(), error, torch.nan))
        return torch.stack(errors)


def candidates(faces: ReconstructedFaces, landmarks: Tensor, detected: Tensor | None = None) -> dict[str, Candidate]:
    """By name, in the order of the tables: "mean face", "landmark fit" and "fit to detected points", "R-Net, own
    colours", "R-Net", "R-Net+GCN" where shapes were refined, and one more with "+texture" where the albedo was.

    Args: landmarks (B, 68, 2) annotated, px of the crops; detected: the same by a detector, which R-Net can be compared
    with:
        both see the picture and five points alone. None leaves that fit out.
    The mean face stands in the pose of the landmark fit, which knows these landmarks. One rule colours all of them:
    light and albedo fitted to the skin that the crop shows (`recon3d.fitting.appearance`) with the albedo of
    `faces.model`. Where the reconstructor keeps the network's albedo and light, those colour R-Net's shapes; where it
    fits them, "R-Net, own colours" is R-Net's shape in the network's.
    """
    model = faces.model
    photos = torch.from_numpy(faces.images).to(model.mean) / 255
    fit = fit_landmarks(model, landmarks)
    mean = model.mean.expand(len(landmarks), -1, -1)
    found = {
        "mean face": _in_pose_of(fit, model, photos, mean, model.points(mean, "ibug68")),
        "landmark fit": _in_pose_of(fit, model, photos, fit.vertices(model), fit.points),
    }
    if detected is not None:
        own = fit_landmarks(model, detected, settings=FitSettings(noise=DETECTOR_NOISE))
        found["fit to detected points"] = _in_pose_of(own, model, photos, own.vertices(model), own.points)
    if faces.fitted:
        found["R-Net, own colours"] = _in_camera(faces.geometry, faces.network_colours)
    found["R-Net"] = _in_camera(faces.pca, _colours(faces, photos, faces.pca))
    name = "R-Net"
    if faces.refined:
        name = "R-Net+GCN"
        found[name] = _in_camera(faces.geometry, _colours(faces, photos, faces.geometry))
    if faces.textured:
        found[f"{name}+texture"] = _in_camera(faces.geometry, faces.colours)
    return found


def _in_pose_of(fit: Fit, model: FaceModel, photos: Tensor, shape: Tensor, points: Tensor) -> Candidate:
    """Shapes (B, V, 3) and their landmarks (B, 68, 3) in weak perspective."""
    projected = weak_perspective(points, fit.rotation, fit.scale, fit.translation)[..., :2]
    there = placed(model, fit, shape)
    return Candidate(shape, projected, there.screen, _fitted_colours(model, photos, there), False)


def _in_camera(geometry: Geometry, colours: Tensor) -> Candidate:
    return Candidate(geometry.shape, geometry.landmarks, geometry.screen, colours, True)


def _colours(faces: ReconstructedFaces, photos: Tensor, geometry: Geometry) -> Tensor:
    """(B, V, 3) of one of the faces' geometries: fitted to the photo, or the network's where the faces keep those."""
    renderer = faces.renderer
    if not faces.fitted:
        return renderer.lit(faces.coefficients, geometry, faces.pca_albedo)
    there = Placed.before_camera(geometry.screen, renderer.camera.focal, renderer.normals(geometry))
    return _fitted_colours(faces.model, photos, there)


def _fitted_colours(model: FaceModel, photos: Tensor, there: Placed) -> Tensor:
    gamma, albedo = light_and_albedo_seen(model, photos, there, skin_weights(model))
    return model.colours(albedo) * shading(there.normals, gamma)
