"""What reconstructions are compared with, on the same photos: the mean face, a landmark fit, R-Net, R-Net with its refiner."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geometry.cameras import weak_perspective
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from morphable.fit import Fit, fit_landmarks
from morphable.light import estimate_light, sample_vertices, shading
from morphable.model import FaceModel
from recon3d.fitting.photometric import skin_weights
from recon3d.inference.reconstructor import ReconstructedFaces
from recon3d.reconstruction import losses
from recon3d.reconstruction.renderer import FaceRenderer, Geometry


@dataclass(frozen=True)
class Candidate:
    """B faces as one method has them, in px of the crops."""

    shape: Tensor  # (B, V, 3) unposed, dm
    landmarks: Tensor  # (B, 68, 2)
    screen: Tensor  # (B, V, 3) x, y down, depth
    colours: Tensor  # (B, V, 3) lit
    perspective: bool  # whether the screen is that of a pinhole

    def photometric_errors(self, model: FaceModel, photos: Tensor) -> Tensor:
        """(B,) mean distance of RGB colours 0 … 1 between the drawn face and photos (B, H, W, 3), over the pixels where the
        candidate shows facial skin or lips. NaN where it shows none.
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
    """By name, in the order of the tables: "mean face", "landmark fit" and "fit to detected points", "R-Net", "R-Net+GCN" where
    shapes were refined, and one more with "+texture" where the albedo was.

    Args: landmarks (B, 68, 2) annotated, px of the crops; detected: the same by a detector, which R-Net can be compared with:
        both see the picture and five points alone. None leaves that fit out.
    The mean face stands in the pose of the landmark fit, which knows these landmarks. Both are rendered with the mean
    albedo and the light that `morphable.light.estimate_light` finds for it, by robust least squares on the crop's colours
    at the vertices of facial skin that are seen. R-Net's albedo and light also serve the refined shape, on its own
    normals.
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
        own = fit_landmarks(model, detected)
        found["fit to detected points"] = _in_pose_of(own, model, photos, own.vertices(model), own.points)
    found["R-Net"] = _reconstructed(faces, faces.pca, faces.pca_albedo)
    name = "R-Net"
    if faces.refined:
        name = "R-Net+GCN"
        found[name] = _reconstructed(faces, faces.geometry, faces.pca_albedo)
    if faces.textured:
        found[f"{name}+texture"] = _reconstructed(faces, faces.geometry, faces.albedo)
    return found


def _in_pose_of(fit: Fit, model: FaceModel, photos: Tensor, shape: Tensor, points: Tensor) -> Candidate:
    """Shapes (B, V, 3) and their landmarks (B, 68, 3) in weak perspective, in mean albedo and its best light."""
    screen = weak_perspective(shape, fit.rotation, fit.scale, fit.translation)
    projected = weak_perspective(points, fit.rotation, fit.scale, fit.translation)[..., :2]
    normals = vertex_normals(shape @ fit.rotation.mT, model.triangles)
    ids = rasterize(screen, model.triangles, tuple(photos.shape[1:3]))
    colours, seen = sample_vertices(photos, screen, fit.scale, normals, model.triangles, ids)
    gamma = estimate_light(colours, model.albedo_mean, normals, seen * skin_weights(model))
    return Candidate(shape, projected, screen, model.albedo_mean * shading(normals, gamma), False)


def _reconstructed(faces: ReconstructedFaces, geometry: Geometry, albedo: Tensor) -> Candidate:
    renderer: FaceRenderer = faces.renderer
    colours = renderer.lit(faces.coefficients, geometry, albedo)
    return Candidate(geometry.shape, geometry.landmarks, geometry.screen, colours, True)
