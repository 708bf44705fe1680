"""The page itself: what stands where, and what happens when something is pressed."""

import time
from pathlib import Path

import gradio as gr
import numpy as np

from common.errors import DataError, UserError
from common.files.images import read_image
from datasets.face import Face
from webpage.folders import PageFolders
from webpage.head import (
    EXPRESSIONS,
    IDENTITY_LIMIT,
    IDENTITY_SLIDERS,
    HeadShape,
    HeadSliders,
    draw_head,
    mean_head,
    random_head,
    write_head,
)
from webpage.photo_tasks import Turnable, photo_tasks, write_summary, zip_folder
from webpage.samples import sample_photos

TITLE = "Faces in PyTorch"
INTRODUCTION = (
    "# Faces in PyTorch\n"
    "Landmarks, depth and 3D shape of the faces in a photo. Photos and results stay on the machine that serves this"
    " page and are removed when you leave. The networks are for research only; use faces of people who agree."
)
STARTS = ("mean head", "random head", "face of the photo")
KEEP_S, SWEEP_S = 900, 60  # how long Gradio keeps uploads, and how often it looks
WAITING = 16  # requests in the queue; a further one is told to come again
CSS = """
footer {display: none !important}
.gradio-container {max-width: 1280px !important; margin: 0 auto !important}
#results .grid-wrap, #results .grid-container {max-height: none !important; min-height: 0 !important; height: auto}
#message p {font-size: 1.02rem}
#message.wrong p {color: #c2261a}
"""
THEME = gr.themes.Soft(
    primary_hue="blue",
    neutral_hue="slate",
    font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],  # no fonts from elsewhere
    font_mono=["ui-monospace", "Consolas", "monospace"],
)


def photo_input(**options: object) -> gr.Image:
    """An input that hands on the uploaded file, not decoded: `read_image` decodes it and says what is wrong with it.

    (A subclass would do, but Gradio writes a .pyi beside the source of every subclass of its components.)
    """
    photo = gr.Image(type="filepath", sources=["upload", "webcam", "clipboard"], **options)
    photo.preprocess = lambda payload: None if payload is None else str(payload.path)
    return photo


class Page:
    """State that all visits share: folders, tasks and limits.

    Args: folders; max_pixels of a photo.
    """

    def __init__(self, folders: PageFolders, max_pixels: int) -> None:
        self.folders, self.max_pixels = folders, max_pixels
        self.tasks = photo_tasks()

    def build(self) -> gr.Blocks:
        """The page, ready for `launch`."""
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S)) as blocks:
            gr.Markdown(INTRODUCTION)
            fitted = gr.State(None, time_to_live=KEEP_S)
            with gr.Tab("Photo"):
                self._photo_tab(fitted)
            with gr.Tab("Head"):
                self._head_tab(blocks, fitted)
            blocks.unload(self._leave)
        return blocks.queue(max_size=WAITING, default_concurrency_limit=1)

    def _photo_tab(self, fitted: gr.State) -> None:
        first = next(iter(self.tasks))
        turnable = gr.State(None, time_to_live=KEEP_S)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                photo = photo_input(label="Photo", height=320, elem_id="photo")
                samples = sample_photos(self.folders.samples)
                gr.Examples([str(path) for path, _ in samples], photo, label="Samples, free for any use")
                task = gr.Dropdown([(t.label, name) for name, t in self.tasks.items()], value=first, label="Task")
                model = gr.Dropdown(list(self.tasks[first].models), label="Model")
                run = gr.Button("Run", variant="primary", elem_id="run")
            with gr.Column(scale=3, min_width=300):
                message = gr.Markdown("Choose a photo, then press Run.", elem_id="message")
                gallery = gr.Gallery(label="Results", columns=2, object_fit="contain", elem_id="results", height="auto")
                yaw = gr.Slider(-60, 60, 0, step=1, label="Yaw (°)", visible=False, elem_id="yaw")
                turned = gr.Image(label="Turned", visible=False, height=320, elem_id="turned", buttons=["download"])
                mesh = gr.Model3D(label="Mesh: drag to turn it", visible=False, height=420, elem_id="mesh")
                table = gr.Dataframe(headers=["face", "score", "pitch", "yaw", "roll"], visible=False, label="Faces")
                download = gr.DownloadButton("Download all files (.zip)", visible=False, elem_id="download")
        task.change(self._models, task, model, show_progress="hidden")
        shown = gr.State(None, time_to_live=KEEP_S)
        outputs = [message, gallery, yaw, turned, mesh, shown, table, download, turnable, fitted]
        # a viewer that appears together with its mesh stays empty, so the mesh comes after it
        run.click(self._run, [photo, task, model, fitted], outputs).then(
            lambda path: path, shown, mesh, show_progress="hidden"
        )
        yaw.change(self._turn, [turnable, yaw], turned, show_progress="hidden", trigger_mode="always_last")

    def _models(self, task: str) -> gr.Dropdown:
        models = list(self.tasks[task].models)
        return gr.Dropdown(models, value=models[0])

    def _run(
        self, photo: str | None, task: str, model: str, fitted: HeadShape | None, request: gr.Request
    ) -> list[object]:
        """The outputs of the Run button; what is wrong is said in one sentence in the place of the message."""
        try:
            image = self._read(photo)
            folder = self.folders.fresh(request.session_hash, "photo")
            start = time.perf_counter()
            outcome = self.tasks[task].run(image, model, folder)
            took = time.perf_counter() - start
            write_summary(folder, task, model, image, outcome.faces)
            archive = zip_folder(folder, self.folders.fresh(request.session_hash, "zip") / f"faces_{task}.zip")
        except (UserError, ValueError) as error:
            hidden = gr.update(visible=False)
            return [_sentence(str(error), wrong=True), None, hidden, hidden, hidden, None, hidden, hidden, None, fitted]
        count = len(outcome.faces)
        said = f"{count} face{'s'[: count > 1]}, {took:.1f} s. {outcome.note}"
        turnable = outcome.turnable
        frame = None if turnable is None else turnable.turned(0)
        return [
            _sentence(said),
            [(str(path), caption) for path, caption in outcome.pictures],
            gr.update(visible=turnable is not None, value=0),
            gr.update(visible=turnable is not None, value=frame),
            gr.update(visible=outcome.mesh is not None, value=None),
            outcome.mesh and str(outcome.mesh),
            gr.update(visible=True, value=_rows(outcome.faces)),
            gr.update(visible=True, value=str(archive)),
            turnable,
            outcome.head or fitted,
        ]

    def _read(self, photo: str | None) -> np.ndarray:
        """Raises: DataError naming the file as the user knows it."""
        if photo is None:
            raise DataError("There is no photo yet: upload one, or choose a sample.")
        try:
            return read_image(Path(photo), max_pixels=self.max_pixels)
        except DataError as error:
            raise DataError(str(error).replace(photo, Path(photo).name)) from None

    def _turn(self, turnable: Turnable | None, yaw: float) -> np.ndarray | None:
        return None if turnable is None else turnable.turned(yaw)

    def _head_tab(self, blocks: gr.Blocks, fitted: gr.State) -> None:
        head = gr.State(None, time_to_live=KEEP_S)
        identity_range = {"minimum": -IDENTITY_LIMIT, "maximum": IDENTITY_LIMIT, "value": 0, "step": 0.1}
        unit_range = {"minimum": 0, "maximum": 1, "value": 0, "step": 0.05}
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                said = gr.Markdown("The embedded head, CC0: free for any use.", elem_id="head_message")
                picture = gr.Image(label="Head", elem_id="head", buttons=["download", "fullscreen"])
                with gr.Row():
                    yaw = gr.Slider(-90, 90, 0, step=1, label="yaw (°)", elem_id="head_yaw")
                    pitch = gr.Slider(-45, 45, 0, step=1, label="pitch (°)")
                with gr.Row():
                    azimuth = gr.Slider(-120, 120, 30, step=1, label="lamp, left to right (°)")
                    elevation = gr.Slider(-60, 80, 30, step=1, label="lamp, height (°)")
                with gr.Row():
                    brightness = gr.Slider(0.2, 2, 1, step=0.05, label="brightness")
                    contrast = gr.Slider(0, 1, 0.6, step=0.05, label="contrast")
                mesh = gr.Model3D(label="Mesh: drag to turn it", height=420, elem_id="head_mesh")
                with gr.Row():
                    show = gr.Button("Make the mesh", elem_id="make_mesh")
                    download = gr.DownloadButton("Download .glb", visible=False, elem_id="head_download")
            with gr.Column(scale=2, min_width=300):
                start = gr.Radio(STARTS, value=STARTS[0], label="Start from", elem_id="start")
                with gr.Accordion("Identity (standard deviations)", open=True):
                    identity = [
                        gr.Slider(label=f"component {i + 1}", **identity_range) for i in range(IDENTITY_SLIDERS)
                    ]
                with gr.Accordion("Expression", open=True):
                    expression = [gr.Slider(label=name, **unit_range) for name in EXPRESSIONS]
        sliders = [*identity, *expression, yaw, pitch, azimuth, elevation, brightness, contrast]
        start.change(self._start, [start, fitted], [head, said]).then(
            self._draw, [head, *sliders], picture, show_progress="hidden"
        )
        for slider in sliders:
            slider.change(self._draw, [head, *sliders], picture, show_progress="hidden", trigger_mode="always_last")
        blocks.load(self._draw, [head, *sliders], picture, show_progress="hidden")
        show.click(self._mesh, [head, *sliders], [mesh, download])

    def _start(self, start: str, fitted: HeadShape | None) -> tuple[HeadShape | None, str]:
        if start == STARTS[1]:
            return random_head(time.time_ns() % 2**31), "A random person of the embedded head."
        if start == STARTS[2] and fitted is None:
            return None, "No head is fitted yet: choose the task “3D head, fitted” for a photo first."
        if start == STARTS[2]:
            return fitted, "The head that was fitted to the photo."
        return None, "The embedded head, CC0: free for any use."

    def _draw(self, head: HeadShape | None, *values: float) -> np.ndarray:
        return draw_head(head or mean_head(), _sliders(values))

    def _mesh(self, request: gr.Request, head: HeadShape | None, *values: float) -> tuple[str, object]:
        path = self.folders.fresh(request.session_hash, "head") / "head.glb"
        write_head(path, head or mean_head(), _sliders(values))
        return str(path), gr.update(visible=True, value=str(path))

    def _leave(self, request: gr.Request) -> None:
        self.folders.forget(request.session_hash)


def _sliders(values: tuple[float, ...]) -> HeadSliders:
    count = IDENTITY_SLIDERS + len(EXPRESSIONS)
    return HeadSliders(values[:IDENTITY_SLIDERS], values[IDENTITY_SLIDERS:count], *values[count:])


def _sentence(text: str, wrong: bool = False) -> object:
    return gr.update(value=text.strip(), elem_classes=["wrong"] if wrong else [])


def _rows(faces: list[Face]) -> list[list[object]]:
    """Number, score and pose of each face; "–" for what the task does not estimate."""
    rows = []
    for number, face in enumerate(faces, start=1):
        score = face.detection_score if np.isnan(face.score) else face.score
        pose = ["–"] * 3 if face.angles_deg is None else [f"{a:.1f}°" for a in np.asarray(face.angles_deg)]
        rows.append([number, "–" if np.isnan(score) else f"{score:.3f}", *pose])
    return rows
