"""The options of demo.py: those of every task, and what each task adds. Imports nothing that takes time."""

from dataclasses import dataclass
from pathlib import Path

from common.config import option
from common.limits import MAX_TEXTURE
from common.pretrained import DEFAULT_LANDMARKS
from datasets.detection.boxes import BOX_KINDS
from datasets.detection.detect import DEFAULT_DETECTOR, DETECTOR_HELP

PRECISIONS = ("no", "bf16")  # as common.runtime, whose import takes seconds
SMOOTHINGS = ("none", "mean", "one_euro")  # as video.smoothing
DETECT_EVERY = 15  # as video.tracking
FRAMES = ("canonical", "posed", "image")  # as morphable.meshes
FRAME = "of the meshes: canonical (unposed, dm), posed (dm) or image (px)"
LANDMARKS_FROM = "folder of <photo>.pts, .json or .txt with 68, 98 or 5 points; none: detect them"


@dataclass(frozen=True)
class DemoSettings:
    """The options that every task has."""

    inputs: list[str] = option(
        [], "photos, videos, folders (with all below), globs, webcam:0; none: NASA's astronaut photo", positional=True
    )
    task: str = option("landmarks", "what to do with the faces: see above", group="run")
    model: str | None = option(
        None, "of the task: bundled name, session, session/epoch or path", "-c", "--checkpoint", group="model"
    )
    landmark_model: str = option(
        DEFAULT_LANDMARKS, "landmark model that other tasks build on: name, session or path", "-r", group="model"
    )
    out: Path | None = option(None, "folder for results; default <outputs>/demo/<task>", group="output")
    flat: bool = option(False, "all results in one folder instead of one folder per input", group="output")
    save: str | None = option(None, "comma-separated results to write; default: all of the task", group="output")
    max_side: int = option(
        2048, "longest side of drawn pictures and movies in px; 0: as large as the photo", group="output", minimum=0
    )
    skip_done: bool = option(
        False, "skip inputs whose results are there, from the same options", "--resume", group="output"
    )
    detector: str = option(DEFAULT_DETECTOR, DETECTOR_HELP, group="run")
    box: str | None = option(None, "x,y,w,h of the face in photo px, instead of a detector", group="data")
    box_kind: str = option(
        "landmarks", "what --box was drawn by; landmarks: tight around the face", choices=BOX_KINDS, group="data"
    )
    flip: bool = option(True, "average landmarks with those of the mirrored crop", group="protocol")
    smooth: str = option(
        "one_euro",
        "videos: none, mean of neighbouring frames, or one_euro",
        "--smoothing",
        choices=SMOOTHINGS,
        group="protocol",
    )
    n_pre: int = option(1, "videos: earlier frames in the mean", "-n_pre", group="protocol", minimum=0)
    n_next: int = option(1, "videos: later frames in the mean", "-n_next", group="protocol", minimum=0)
    start: str = option("-1", "videos: first frame (120) or time (4.5s, 1:30); -1 = all", "-s", group="data")
    end: str = option("-1", "videos: frame or time to stop before; -1 = all", "-e", group="data")
    every: int = option(1, "videos: take every n-th frame", group="data", minimum=1)
    detect_every: int = option(
        DETECT_EVERY, "videos: frames between detections; 0 = only when a face is lost", group="protocol", minimum=0
    )
    device: str = option("auto", "auto, cpu, cuda or mps", group="run")
    precision: str = option("no", "no: float32; bf16: networks in bfloat16", choices=PRECISIONS, group="run")
    batch_size: int = option(8, "photos at a time", group="run", minimum=1)

    @property
    def all_inputs(self) -> list[str]:
        """Inputs by all names that a task has for them."""
        return self.inputs

    @property
    def asked_by_aliases(self) -> list[str] | None:
        """Kinds of files that the options of an original demo ask for; None without such options."""
        return None


@dataclass(frozen=True)
class LandmarkSettings(DemoSettings):
    """--task landmarks."""

    model: str | None = option(
        None,
        f"bundled name, session, session/epoch or path; default {DEFAULT_LANDMARKS}",
        "-c",
        "--checkpoint",
        "-r",
        group="model",
    )
    landmark_model: str = option(DEFAULT_LANDMARKS, "the same as --model", group="model")


@dataclass(frozen=True)
class DepthSettings(DemoSettings):
    """--task depth and --task rotate."""

    model: str | None = option(
        None,
        "bundled name, session, session/epoch or path; default depthnet_gan",
        "-c",
        "--checkpoint",
        "--depth-model",
        group="model",
    )


@dataclass(frozen=True)
class FitSettings(DemoSettings):
    """--task fit."""

    model: str | None = option(
        None,
        "face model: head (default), head#photos, ict:<path>, 3ddfa:<path>, … or a file",
        "-c",
        "--checkpoint",
        "--model-3d",
        group="model",
    )
    photometric: bool = option(True, "refine the landmark fit by the pixels (0: landmarks only)", group="protocol")
    landmarks_from: Path | None = option(None, LANDMARKS_FROM, group="data")
    frame: str = option("posed", FRAME, choices=FRAMES, group="output")
    texture_size: int = option(
        512, "side of the unwrapped texture in texels", group="output", minimum=16, maximum=MAX_TEXTURE
    )


@dataclass(frozen=True)
class ReconstructSettings(DemoSettings):
    """--task reconstruct, and what the demos of Deep3D and GCN_ResNet call it."""

    model: str | None = option(
        None,
        "bundled name, session, path, or published .pth; default reconstructor",
        "-c",
        "--checkpoint",
        group="model",
    )
    use_pb: bool | None = option(
        None, "as GCN_ResNet's demo: 1 the bundled network, 0 that of --pretrain_weights", group="model"
    )
    image_dir: Path | None = option(None, "folder of photos, beside those named", group="data")
    refiner: str = option(
        "auto", "mesh refiner: bundled name, session, path, none; auto: <model>_gcn where bundled", group="model"
    )
    texture: str = option("none", "texture refiner: session, path, or none", group="model")
    appearance: str = option(
        "auto",
        "albedo and light: fitted to the photo, or the network's; auto: photo for the embedded head",
        choices=("auto", "photo", "network"),
        group="model",
    )
    face_model: str | None = option(
        None, "face model; default: the one that the network was trained for", group="model"
    )
    landmarks_from: Path | None = option(None, LANDMARKS_FROM, group="data")
    same_person: bool = option(False, "all photos show one person: average identity and albedo", group="data")
    frame: str = option("posed", FRAME, choices=FRAMES, group="output")

    @property
    def all_inputs(self) -> list[str]:
        """Named, and those of --image_dir."""
        return self.inputs if self.image_dir is None else [*self.inputs, str(self.image_dir)]


# kinds of files of 3DDFA_V2's --opt, and of the --dump switches of 3DDFA and RADAN, in our names
OPT = {
    "2d_sparse": "overlay",
    "2d_dense": "dense",
    "3d": "shape",
    "depth": "depth",
    "pncc": "pncc",
    "uv_tex": "texture",
    "pose": "pose",
    "ply": "ply",
    "obj": "obj",
}
DUMPS = {
    "dump_res": "overlay",
    "dump_vertex": "vertices",
    "dump_ply": "ply",
    "dump_pts": "txt",
    "dump_roi_box": "roi",
    "dump_pose": "pose",
    "dump_depth": "depth",
    "dump_pncc": "pncc",
    "dump_paf": "paf",
    "dump_obj": "obj",
}
DUMPED = ("dump_res", "dump_ply", "dump_pts", "dump_obj")  # unless switched off


def _dump(help: str) -> bool | None:
    return option(None, f"as RADAN's demo: {help}", group="output")


@dataclass(frozen=True)
class MeshSettings(DemoSettings):
    """--task mesh, and what the demos of 3DDFA, 3DDFA_V2 and RADAN call it."""

    model: str | None = option(
        None,
        "bundled name, session, path or authors' checkpoint; default regressor_120",
        "-c",
        "--checkpoint",
        group="model",
    )
    files: list[str] = option([], "photos, as the papers' demos name them", "-f", group="data")
    opt: list[str] = option(
        [], f"results of 3DDFA_V2's demo, several at once: {', '.join(OPT)}", "-o", choices=tuple(OPT), group="output"
    )
    whitening: Path | None = option(None, "whitening .pkl of an authors' checkpoint, default: beside it", group="model")
    face_model: str | None = option(
        None, "face model; default: the one that the checkpoint was trained for", group="model"
    )
    weights: Path | None = option(None, "weights of the detector", group="model")
    bbox_init: str | None = option(
        None,
        "one, or two: cut again by the first landmarks; default two, with --authors one",
        choices=("one", "two"),
        group="run",
    )
    dlib_bbox: bool = option(True, "0: read boxes from <photo>.bbox instead of detecting", group="run")
    dump_res: bool | None = _dump("landmarks drawn on the photo")
    dump_vertex: bool | None = _dump("vertices of every face as .npy (V, 3), photo px")
    dump_ply: bool | None = _dump("meshes, image px, y up")
    dump_pts: bool | None = _dump("68 landmarks of every face: rows of x, y, z")
    dump_roi_box: bool | None = _dump("the region that was cut, four lines")
    dump_pose: bool | None = _dump("pose boxes on the photo")
    dump_depth: bool | None = _dump("depth map of all faces, 16 bit, 0.1 mm")
    dump_pncc: bool | None = _dump("projected normalised coordinate code of all faces")
    dump_paf: bool | None = _dump("pose-adaptive feature of every face, from its crop")
    dump_obj: bool | None = _dump("meshes with the photo's colours")
    paf_size: int = option(
        3, "side of a patch of the pose-adaptive feature in px, odd", group="output", minimum=1, maximum=31
    )
    suffix: str = option("overlay", "suffix of the drawn landmarks", group="output")
    onnx: Path | None = option(
        None, "run this export of the checkpoint (python -m export) with onnxruntime", group="model"
    )
    authors: bool = option(False, "crop and decode exactly as 3DDFA's and 3DDFA_V2's code", group="run")

    @property
    def all_inputs(self) -> list[str]:
        """Named, and those of -f."""
        return [*self.inputs, *self.files]

    @property
    def asked_by_aliases(self) -> list[str] | None:
        """Of --opt, else of --dump_… with RADAN's defaults."""
        if self.opt:
            return [OPT[name] for name in self.opt]
        given = {name: getattr(self, name) for name in DUMPS}
        if all(value is None for value in given.values()):
            return None
        return [kind for name, kind in DUMPS.items() if (name in DUMPED if given[name] is None else given[name])]


@dataclass(frozen=True)
class AllSettings(FitSettings, ReconstructSettings, MeshSettings):
    """--task all: the options of every task; each has its own model."""

    model: str | None = option(None, "each task has its own", group="model")

    @property
    def all_inputs(self) -> list[str]:
        """Inputs by all names."""
        folder = [] if self.image_dir is None else [str(self.image_dir)]
        return [*self.inputs, *self.files, *folder]
