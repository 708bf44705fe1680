"""The tasks of demo.py: what each does, its options and the kinds of files that it writes."""

from dataclasses import dataclass

from tasks.settings import (
    DemoSettings,
    DepthSettings,
    FitSettings,
    LandmarkSettings,
    MeshSettings,
    ReconstructSettings,
)

ALL = "all"
RECORDS = ("json", "csv")  # that every task writes


@dataclass(frozen=True)
class Task:
    """module: of the method, with a function `open_method(settings, local, kinds)`; settings; does, for --help; kinds
    of files.
    """

    module: str
    settings: type[DemoSettings]
    does: str
    kinds: tuple[str, ...]
    rare: tuple[str, ...] = ()  # of them, what is written only where --save says so

    @property
    def default(self) -> tuple[str, ...]:
        """Kinds that are written without --save."""
        return tuple(kind for kind in self.kinds if kind not in self.rare)


TASKS = {
    "landmarks": Task(
        "tasks.landmarks", LandmarkSettings, "68 landmarks of every face", ("overlay", "tiles", "heatmaps", "pts")
    ),
    "depth": Task("tasks.depth", DepthSettings, "depth of the landmarks", ("depth", "points")),
    "rotate": Task("tasks.rotate", DepthSettings, "the face turned by ±45°", ("movie", "strip")),
    "mesh": Task(
        "tasks.mesh",
        MeshSettings,
        "3D landmarks, pose and mesh by a regressor",
        (
            "overlay",
            "dense",
            "shape",
            "pose",
            "depth",
            "pncc",
            "texture",
            "ply",
            "obj",
            "pts",
            "txt",
            "vertices",
            "roi",
            "paf",
        ),
        rare=("dense", "txt", "vertices", "roi", "paf"),
    ),
    "fit": Task(
        "tasks.fit",
        FitSettings,
        "a 3D face model fitted to landmarks and pixels",
        ("overlay", "strip", "depth", "pncc", "normals", "pose", "texture", "obj", "ply", "glb"),
    ),
    "reconstruct": Task(
        "tasks.reconstruct",
        ReconstructSettings,
        "shape, albedo, pose and light by R-Net",
        ("mat", "obj", "glb", "strip", "overlay", "depth", "pts"),
    ),
}
