"""The library's front door to 3D faces: photo in; parameters, landmarks, dense vertices and pose out.

regressor = FaceRegressor.from_pretrained("regressor_120")   # or ("mb05_120x120.pth", "3ddfa:train.configs")
faces = regressor(image)                     # (H, W, 3) uint8 RGB → list of Face
screen = regressor.screen(faces)             # (faces, vertices, 3) photo px and depth
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from common.config import LocalConfig, read_local_config
from common.errors import DataError
from common.runtime import choose_device
from datasets.crop import Crop
from datasets.detection.boxes import Detection
from datasets.detection.detect import DEFAULT_DETECTOR, DetectFaces, make_detector
from datasets.face import Face, stacked
from geometry.rotations import euler_from_rotation, nearest_rotation
from morphable.model import FaceModel
from morphable.scene import Scene, metric_screen
from recon3d.regression import quick
from recon3d.regression.decode import (
    CONVENTIONS,
    FaceDecoder,
    Pose,
    authors_pose,
    chained,
    crop_scales,
    to_photo,
)
from recon3d.regression.face_models import open_face_model
from recon3d.regression.models import LoadedRegressor, fits, load_regressor, normalise
from recon3d.regression.params import POSE, Parts, join
from recon3d.regression.roi import crop_from_detection, crop_from_points, rounded

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SCHEME = "ibug68"
FOCAL = 1.2  # assumed focal length in longer sides of the photo
STEPS = {"one": 1, "two": 2}  # --bbox_init: passes from a box on
BATCH = 128  # crops that go through the network at once


class FaceRegressor:
    """Detector, crop rule, network and face model behind one call; all faces of all photos go through in one batch.

    Args:
        loaded: from `load_regressor`.  face_model: with landmarks "ibug68" and enough components.
        detector: a name of `datasets.detection.detect.DETECTORS`, or any function image → list of Detection; weights:
            its file.
        steps: 2 cuts every face that a box starts again by the landmarks of a first pass; default 2, with `authors` 1
            as their code has it.
        authors: crop, decode and pose exactly as 3DDFA and 3DDFA_V2 do, for comparisons: crops on whole pixels that are
            pasted back unrounded, biased pixels, a rotation that need not be one.
        device: auto, cpu, cuda or mps.
    Raises: CheckpointError for a face model that does not fit; DataError for an unknown detector.
    """

    def __init__(
        self,
        loaded: LoadedRegressor,
        face_model: FaceModel,
        *,
        detector: str | DetectFaces = DEFAULT_DETECTOR,
        weights: Path | None = None,
        steps: int | None = None,
        authors: bool = False,
        device: str = "auto",
    ) -> None:
        steps = steps or (1 if authors else 2)
        if steps not in STEPS.values():
            raise DataError(f"--bbox-init knows one and two steps, not {steps}.")
        fits(loaded.model, face_model, f"face model {face_model.name}")
        self.device = choose_device(device)
        self.model = loaded.model.to(self.device).eval()
        self.face_model = face_model.to(self.device)
        self.steps, self.authors = steps, authors
        self.convention = self.model.convention if authors else self.model.convention.unbiased
        self.sparse = FaceDecoder(self.face_model, self.model.layout, self.face_model.landmarks[SCHEME]).to(self.device)
        self._dense: FaceDecoder | None = None
        self._quick: quick.QuickShapes | None = None
        self._frozen = None  # made at the first use
        self._session: InferenceSession | None = None  # see `use_onnx`
        self.detect = make_detector(detector, weights)

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        face_model: FaceModel | str | None = None,
        snapshots: Path | None = None,
        *,
        local: LocalConfig | None = None,
        **options: Any,
    ) -> "FaceRegressor":
        """By bundled name, session, session/epoch, or path (the authors' checkpoints too).

        Args: face_model: or what `load_face_model` takes; None: the one that the regressor was trained for; snapshots:
            folder of sessions, default that of `local`; local: default, local_config.ini; options as in the
            constructor.
        Raises: CheckpointError, DataError, FaceModelError.
        """
        local = local or read_local_config()
        loaded = load_regressor(name, snapshots or local.snapshots)
        if not isinstance(face_model, FaceModel):
            face_model = open_face_model(face_model, local, loaded.model)
        return cls(loaded, face_model, **options)

    @property
    def size(self) -> int:
        """Side of the crops in px."""
        return self.model.config.input_size

    def __call__(self, image: np.ndarray, boxes: Sequence[np.ndarray] | None = None) -> list[Face]:
        """Faces of one photo, surest detection first; empty when there is none.

        Args: image (H, W, 3) uint8 RGB; boxes (4,) left, top, right, bottom instead of the detector.
        Raises: DataError for a box that is not finite, under 4 px or outside the photo.
        """
        return self.predict_batch([image], None if boxes is None else [boxes])[0]

    @torch.inference_mode()
    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]] | None = None
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo."""
        if boxes is None:
            found = [self.detect(image) for image in images]
        else:
            found = [[Detection(np.asarray(box, dtype=float), float("nan")) for box in photo] for photo in boxes]
        owners = [i for i, photo in enumerate(found) for _ in photo]
        detections = [detection for photo in found for detection in photo]
        faces = self._detected(images, owners, detections)
        results: list[list[Face]] = [[] for _ in images]
        for owner, face in zip(owners, faces, strict=True):
            results[owner].append(face)
        return results

    @torch.inference_mode()
    def _detected(self, images: Sequence[np.ndarray], owners: Sequence[int], detections: list[Detection]) -> list[Face]:
        """A face for each detection; detections[i] is of images[owners[i]]."""
        crops = [
            crop_from_detection(d.box, self.size, images[i].shape, self.authors) for d, i in zip(detections, owners)
        ]
        photos = [images[i] for i in owners]
        if self.steps == 2:
            crops = self._second_crops(photos, crops)
        return self.predict_crops(photos, crops, detections)

    def predict_detections(self, image: np.ndarray, detections: Sequence[Detection]) -> list[Face]:
        """Faces of one photo that were detected elsewhere. Raises: DataError for a bad box."""
        return self._detected([image], [0] * len(detections), list(detections))

    def next_crop(self, face: Face) -> Crop:
        """Where a face is looked for in the next frame of a video. Raises: DataError where no crop can be made."""
        return crop_from_points(face.landmarks, self.size)

    @torch.inference_mode()
    def predict_crops(
        self, images: Sequence[np.ndarray], crops: list[Crop], detections: list[Detection] | None = None
    ) -> list[Face]:
        """One face in each crop of each photo, in one pass: for crops by landmarks, as in tracking."""
        return self._faces(crops, detections, *self._predict(self._cut(images, crops), crops)) if crops else []

    @torch.inference_mode()
    def regress_cut(self, cuts: Sequence[np.ndarray], crops: list[Crop]) -> list[Face]:
        """Faces of crops (S, S, 3) that were cut elsewhere; `crops` says where from."""
        return self._faces(crops, None, *self._predict(list(cuts), crops)) if crops else []

    def _faces(
        self, crops: list[Crop], detections: list[Detection] | None, parameters: Tensor, landmarks: list, head: list
    ) -> list[Face]:
        scales = crop_scales(crops, parameters)
        pose = self.pose(parameters)
        parts = (
            ("camera", POSE),
            ("identity", self.model.layout.identity),
            ("expression", self.model.layout.expression),
        )
        given = detections or [Detection(crop.outline(), float("nan")) for crop in crops]
        per_dm = (pose.scale / scales).cpu().tolist()
        rows = zip(
            given,
            crops,
            parameters.cpu().numpy(),
            landmarks,
            head,
            pose.rotation.cpu().numpy(),
            pose.angles_deg.cpu().numpy(),
            per_dm,
            strict=True,
        )
        return [
            Face(
                box=d.box,
                detection_score=d.score,
                crop=crop,
                parameters=p,
                parts=parts,
                landmarks=points,
                scheme=SCHEME,
                head_landmarks=second,
                rotation=rotation,
                angles_deg=angles,
                scale=scale,
            )
            for d, crop, p, points, second, rotation, angles, scale in rows
        ]

    def _cut(self, images: Sequence[np.ndarray], crops: list[Crop]) -> list[np.ndarray]:
        """(S, S, 3) uint8 each. The authors trained on crops without a low-pass, so their models see such."""
        plain = self.model.convention.halves
        exact = zip(images, crops, strict=True)
        return [(rounded(crop) if self.authors else crop).extract(image, plain) for image, crop in exact]

    def _predict(self, cuts: list[np.ndarray], crops: list[Crop]) -> tuple[Tensor, list[np.ndarray], list]:
        """(B, P) parameters, (68, 3) landmarks and those of the second head (or None) of each, in the photo."""
        pixels = torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2).to(self.device)
        parts = [self._forward(batch) for batch in pixels.split(BATCH)]
        parameters = torch.cat([p for p, _ in parts])
        landmarks = to_photo(self.in_crops(self.sparse(parameters), crops), crops)
        heads = [h for _, h in parts if h is not None]
        if not heads:
            return parameters, list(landmarks.cpu().numpy()), [None] * len(crops)
        middle = self.size / 2
        head = torch.cat(heads) * middle + middle
        head = to_photo(self.convention.image_points(head, crop_scales(crops, head)), crops)
        return parameters, list(landmarks.cpu().numpy()), list(head.cpu().numpy())

    def use_onnx(self, path: Path) -> None:
        """Run an export of this checkpoint (`export`) with onnxruntime in the place of PyTorch.

        Raises: DataError when onnxruntime is not installed, or the file is no export of a network with these outputs.
        """
        try:
            import onnxruntime
        except ImportError:
            raise DataError("--onnx needs onnxruntime; pip install onnxruntime.") from None
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()  # two pools of threads would fight for the cores
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  onnxruntime's errors share no base but this one
            raise DataError(f"{path}: not a readable ONNX file ({str(error).splitlines()[0][:120]}).") from None
        shapes = {output.name: output.shape for output in session.get_outputs()}
        inputs = [value.shape[1:] for value in session.get_inputs()]
        if shapes.get("parameters", [])[1:] != [self.model.layout.size] or inputs != [[3, self.size, self.size]]:
            raise DataError(f"{path}: no export of this checkpoint; make it with python -m export.")
        self._session, self._with_head = session, "head_landmarks" in shapes

    def _forward_onnx(self, session: "InferenceSession", pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        names = ["parameters", "head_landmarks"] if self._with_head else ["parameters"]
        parameters, *head = session.run(names, {"crops": np.ascontiguousarray(pixels.cpu().numpy())})
        middle = self.size / 2
        points = (torch.from_numpy(head[0]) - middle) / middle if head else None
        return torch.from_numpy(parameters).to(self.device), points

    def _forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        if self._session is not None:
            return self._forward_onnx(self._session, pixels)
        if self.device.type == "cpu":
            if self._frozen is None:
                self._frozen = quick.frozen(self.model.network, self.size)
            whitened, *head = self._frozen(pixels)
        elif self.model.network.fc_lm is None:
            whitened, *head = (self.model.network(normalise(pixels)),)
        else:
            whitened, *head = self.model.network.with_landmarks(normalise(pixels))
        return self.model.whitening.restore(whitened), head[0] if head else None

    def _second_crops(self, images: Sequence[np.ndarray], crops: list[Crop]) -> list[Crop]:
        """By the landmarks of a first pass over crops by boxes."""
        if not crops:
            return []
        landmarks = self._predict(self._cut(images, crops), crops)[1]
        return [self._refined(points, crop) for points, crop in zip(landmarks, crops, strict=True)]

    def _refined(self, landmarks: np.ndarray, crop: Crop) -> Crop:
        """The crop by the first pass's landmarks, or the first one where those allow none."""
        try:
            return crop_from_points(landmarks[:, :2] - 0.5 if self.authors else landmarks, self.size)
        except DataError:  # one hopeless box must not cost the other faces of the batch
            return crop

    def in_crops(self, points: Tensor, crops: list[Crop]) -> Tensor:
        """(B, K, 3) decoded points → continuous crop px, y down, z toward the viewer."""
        return self.convention.to_crop(points, self.size, crop_scales(crops, points))

    def pose(self, parameters: Tensor) -> Pose:
        """Pose of (B, P) parameters; the nearest rotation in the "aflw2000" convention, or as the authors compute
        it.
        """
        matrix = self.model.layout.split(parameters).matrix
        if self.authors:
            return authors_pose(matrix)
        rotation = nearest_rotation(matrix)
        angles = torch.rad2deg(euler_from_rotation(rotation))
        return Pose(rotation, angles, matrix[:, :2].norm(dim=-1).mean(1))

    def photo_parameters(self, face: Face) -> np.ndarray:
        """(P,) float64 parameters of a face whose camera gives photo px, y down and z toward the viewer, not those of
        its crop:
        of one face in different crops they can be averaged.
        """
        parameters = torch.from_numpy(face.parameters)[None].double()
        parts = self.model.layout.split(parameters)
        camera = torch.cat([parts.matrix, parts.translation[..., None]], dim=2)
        camera = chained(self.convention.photo_maps(self.size, [face.crop], parameters), camera)
        return join(Parts(camera[..., :3], camera[..., 3], parts.identity, parts.expression))[0].numpy()

    def parameter_units(self, face: Face) -> np.ndarray:
        """(P,) size of one unit of each of `photo_parameters`: a tenth of the crop's side, spreads of the
        coefficients.
        """
        spread = self.model.whitening.std.double().cpu().numpy()
        return np.concatenate([np.full(POSE, face.crop.size / face.crop.scale / 10), spread[POSE:]])

    @torch.inference_mode()
    def with_photo_parameters(self, face: Face, parameters: np.ndarray) -> Face:
        """The face with other `photo_parameters`, told in its own crop; landmarks and pose follow, the second head's
        stay.
        """
        given = torch.from_numpy(parameters)[None]
        parts = self.model.layout.split(given)
        maps = self.convention.photo_maps(self.size, [face.crop], given)
        back = torch.linalg.inv(maps[..., :3])
        translation = (back @ (parts.translation - maps[..., 3])[..., None])[..., 0]
        own = join(Parts(back @ parts.matrix, translation, parts.identity, parts.expression)).float().to(self.device)
        landmarks = to_photo(self.in_crops(self.sparse(own), [face.crop]), [face.crop])[0]
        (moved,) = self._faces(
            [face.crop], [Detection(face.box, face.detection_score)], own, [landmarks.cpu().numpy()], [None]
        )
        return replace(moved, head_landmarks=face.head_landmarks)

    def screen(self, faces: Sequence[Face]) -> Tensor:
        """(faces, V, 3) all vertices: x, y in continuous photo px and depth, smaller = nearer, in photo px."""
        if not faces:
            return torch.zeros(0, self.face_model.num_vertices, 3, device=self.device)
        parameters = torch.from_numpy(stacked((face.parameters for face in faces), "parameters")).to(self.device)
        return self.screen_of(parameters, [face.crop for face in faces])

    @torch.inference_mode()
    def screen_of(self, parameters: Tensor, crops: list[Crop], continuous: bool = False) -> Tensor:
        """As `screen`, of (B, P) parameters in the model's convention or in the continuous one."""
        if self._dense is None:
            self._dense = FaceDecoder(self.face_model, self.model.layout).to(self.device)
            if self.device.type == "cpu" and quick.available():
                self._quick = quick.QuickShapes(self._dense)
        parts = self.model.layout.split(parameters)
        convention = CONVENTIONS["continuous"] if continuous else self.convention
        camera = torch.cat([parts.matrix, parts.translation[..., None]], dim=2)
        maps = chained(convention.photo_maps(self.size, crops, parameters), camera)
        maps[:, 2] *= -1  # smaller = nearer
        if self._quick is not None and len(crops) < quick.MOST_FACES:
            return self._quick(torch.cat([parts.identity, parts.expression], dim=1), maps)
        return torch.baddbmm(maps[:, None, :, 3], self._dense.shape(parts), maps[..., :3].transpose(1, 2))

    def scene(self, faces: Sequence[Face], size: tuple[int, int]) -> Scene:
        """All faces of a photo of size (H, W) in one z-buffer, for `drawing.surfaces`.

        Weak perspective does not see distances: a camera of 1.2 times the longer side is assumed, so larger faces are
            nearer.
        """
        screen = self.screen(faces)
        scale = torch.tensor([face.scale for face in faces], dtype=screen.dtype, device=screen.device)
        posed = screen * torch.tensor([1.0, -1.0, -1.0], device=screen.device) / scale[:, None, None]
        centred = torch.cat([posed[..., :2] - posed[..., :2].mean(1, keepdim=True), posed[..., 2:]], dim=-1)
        depth = screen[..., 2:] - screen[..., 2:].mean(1, keepdim=True)  # t_z is no distance
        flat = metric_screen(torch.cat([screen[..., :2], depth], dim=-1), scale, FOCAL * max(size))
        return Scene(flat, centred, self.face_model.triangles, size)
