"""python -m export: ONNX files that give what PyTorch gives, for any number of faces, in three precisions."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from common.files.points import read_pts
from export.__main__ import main
from export.landmarks import ExportedLandmarks
from export.module import largest_difference, random_crops
from export.precision import quantize
from landmarks.detector import LandmarkDetector
from landmarks.models import load_model
from recon3d.inference.reconstructor import Reconstructor

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
ROOT = Path(__file__).resolve().parents[2]


def run(path, outputs, crops):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(outputs, {"crops": np.asarray(crops)})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Exports of the bundled detector and direct network."""
    folder = tmp_path_factory.mktemp("onnx")
    for name in ("yunet", "landmarks_fast"):
        assert main([name, "--out", str(folder / f"{name}.onnx")]) == 0
    return folder


def test_landmarks_equal_the_detectors(files):
    image = astronaut()
    detector = LandmarkDetector.from_pretrained("landmarks_fast", device="cpu")
    faces = detector(image)[:3]
    crops = np.stack([face.crop.extract(image) for face in faces]).transpose(0, 3, 1, 2)
    (points,) = run(files / "landmarks_fast.onnx", ["landmarks"], crops)
    assert faces
    for face, found in zip(faces, points, strict=True):
        assert np.abs(face.crop.invert(found) - face.landmarks).max() < 0.02 / face.crop.scale


def test_heatmap_model_takes_any_number_of_faces(tmp_path):
    module = ExportedLandmarks(load_model("landmarks_300w"))
    out = tmp_path / "new folder" / "lms.onnx"
    assert main(["landmarks_300w", "--out", str(out)]) == 0
    crops = random_crops(module.size, 5)
    with torch.inference_mode():
        expected = module(crops)
    for name, one in zip(module.outputs, expected, strict=True):
        assert np.abs(run(out, [name], crops)[0] - one.numpy()).max() < 0.01


def test_half_precision_is_half_the_size_and_the_same(files, tmp_path, capsys):
    out = tmp_path / "half.onnx"
    assert main(["landmarks_fast", "--dtype", "fp16", "--out", str(out)]) == 0
    assert "before the change of precision" in capsys.readouterr().out
    assert out.stat().st_size < 0.55 * (files / "landmarks_fast.onnx").stat().st_size
    crops = random_crops(128, 2)
    pair = [run(path, ["landmarks"], crops)[0] for path in (out, files / "landmarks_fast.onnx")]
    assert np.abs(pair[0] - pair[1]).max() < 0.05


def test_int8_is_a_quarter_and_close(files, tmp_path):
    path = tmp_path / "int8.onnx"
    path.write_bytes((files / "landmarks_fast.onnx").read_bytes())
    image = cv2.resize(astronaut()[50:200, 150:300], (128, 128))
    crops = np.stack([image, image[:, ::-1], image[::-1]]).transpose(0, 3, 1, 2)
    quantize(path, crops)
    assert path.stat().st_size < 0.35 * (files / "landmarks_fast.onnx").stat().st_size
    exact, found = (run(p, ["landmarks"], crops)[0] for p in (files / "landmarks_fast.onnx", path))
    assert 0 < np.linalg.norm(exact - found, axis=-1).mean() < 4


def test_reconstructor_equals_pytorch(tmp_path):
    out = tmp_path / "rnet.onnx"
    assert main(["reconstructor", "--dense", "--out", str(out)]) == 0
    reconstructor = Reconstructor.from_pretrained("reconstructor", device="cpu", refiner="none", appearance="network")
    five = np.array([[80, 90], [145, 90], [112, 130], [88, 160], [138, 160]], dtype=np.float64)
    photo = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    faces = reconstructor.reconstruct([photo], [five], ordered=False)
    coefficients, vertices = run(out, ["coefficients", "vertices"], faces.images.transpose(0, 3, 1, 2))
    assert np.abs(coefficients - faces.coefficients.vector().numpy()).max() < 1e-3
    assert np.abs(vertices - faces.geometry.screen.numpy())[..., :2].max() < 0.02


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("export.module.largest_difference", lambda *a: 0.5)
    assert main(["landmarks_fast", "--out", str(tmp_path / "x.onnx")]) == 2
    assert "differs from PyTorch by 0.5 px" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_differences_are_seen(files):
    module = ExportedLandmarks(load_model("landmarks_fast"))
    with torch.no_grad():
        module.mean += 0.1
    assert largest_difference(module, files / "landmarks_fast.onnx", random_crops(128)) > 0.01


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "name one checkpoint"),
        (["nothing"], "nothing"),
        (["depthnet_gan"], "holds a 'depthnet', which is not exported"),
        (["landmarks_fast", "--dtype", "int8"], "--dtype int8 needs --calibration"),
        (["landmarks_fast", "--dtype", "int8", "--calibration", "{}"], "no face in 0 photos"),
        (["yunet", "--dtype", "fp16"], "--dtype fp16: yunet"),
        (["landmarks_fast", "--out", "{}/file/x.onnx"], "cannot be written"),
        (["yunet", "--out", "{}/file/x.onnx"], "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, flags, sentence):
    (tmp_path / "file").write_text("")
    assert main([flag.format(tmp_path) for flag in flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_the_example_runs_without_pytorch(files, tmp_path):
    """On the photo of the README's demo, with PyTorch and this project out of reach."""
    cv2.imwrite(str(tmp_path / "photo.png"), astronaut()[..., ::-1])
    example = ROOT / "examples/landmarks_onnx.py"
    arguments = ["photo.png", str(files / "yunet.onnx"), str(files / "landmarks_fast.onnx")]
    code = "import runpy, sys; sys.modules['torch'] = sys.modules['common'] = None;"
    code += f" sys.argv = {['x', *arguments]!r}; runpy.run_path({str(example)!r}, run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    drawn = cv2.imread(str(tmp_path / "photo_landmarks.jpg")).astype(int)
    changed = np.abs(drawn - astronaut()[..., ::-1]).max(-1) > 100
    rows, columns = np.nonzero(changed)
    assert len(rows) > 200 and 40 < rows.min() and rows.max() < 230 and 150 < columns.min() and columns.max() < 300


def test_the_example_finds_what_the_detector_finds(files, shared_data):
    import runpy

    example = runpy.run_path(str(ROOT / "examples/landmarks_onnx.py"))
    detector = cv2.FaceDetectorYN.create(str(files / "yunet.onnx"), "", (0, 0))
    network = onnxruntime.InferenceSession(str(files / "landmarks_fast.onnx"))
    errors = []
    for path in sorted((shared_data / "300w/images/test/common/lfpw").glob("*.pts"))[:20]:
        truth = read_pts(path, 68)
        found = example["find"](cv2.imread(str(path.with_suffix(".jpg"))), detector, network)
        near = min(np.linalg.norm(points + 0.5 - truth, axis=1).mean() for points in found)
        errors.append(100 * near / np.linalg.norm(truth[36] - truth[45]))
    assert len((ROOT / "examples/landmarks_onnx.py").read_text().splitlines()) <= 55 and np.mean(errors) < 4.2
