"""The mesh refiner: both outputs, its file, its losses against closed forms, training on truth that the model cannot
give.
"""

import math
from dataclasses import dataclass

import pytest
import torch

from common.checkpoint import read_config, save_snapshot
from common.errors import CheckpointError
from common.runtime import make_accelerator
from geometry.cameras import pinhole, rigid_transform
from morphable.open import load_face_model
from recon3d.refinement.meshes import MeshGraphError
from recon3d.refinement.method import RefinementBatch, RefinementWeights, RefinerMethod, refinement_terms
from recon3d.refinement.pyramid import build_pyramid
from recon3d.refinement.refiner import MeshRefiner, RefinerConfig, load_refiner
from tests.recon3d.refinement.shapes import grid
from training.loop import EpochPosition

UNIT = torch.ones(68)


@pytest.fixture(scope="module")
def model():
    return load_face_model("head")


@pytest.fixture(scope="module")
def pyramid(model):
    return build_pyramid(model.mean, model.triangles)


@pytest.fixture(scope="module")
def sheet():
    return build_pyramid(*grid(40))


def project(points):
    return pinhole(points, 1015.0, (112.0, 112.0), 10.0)[..., :2]


def landmarks_of(model):
    def landmarks(shapes, batch):
        return project(rigid_transform(model.points(shapes, "ibug68"), batch.rotation, batch.translation))

    return landmarks


def faces(model, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return model.shape(torch.randn(count, model.sizes[0], generator=generator))


def batch_of(vertices, **more):
    count = len(vertices)
    return RefinementBatch(
        torch.randn(count, 6), vertices, torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3), **more
    )


def test_offset_output_begins_as_the_given_shape(model, pyramid):
    refiner = MeshRefiner(RefinerConfig(6), pyramid, "head")
    vertices = faces(model)
    assert torch.equal(refiner(torch.randn(3, 6), vertices), vertices)


def test_half_precision_around_it_does_no_harm(sheet):
    refiner = MeshRefiner(RefinerConfig(6), sheet)
    vertices = torch.from_numpy(sheet.vertices[0])[None]
    with torch.autocast("cpu", torch.bfloat16):
        refined = refiner(torch.randn(1, 6).bfloat16(), vertices)
    assert refined.dtype == torch.float32 and torch.equal(refined, vertices)


def test_outputs_stay_in_their_range(sheet):
    template = torch.from_numpy(sheet.vertices[0])
    for config in (RefinerConfig(6, range_dm=0.1), RefinerConfig(6, "absolute", 1.5)):
        refiner = MeshRefiner(config, sheet)
        torch.nn.init.normal_(refiner.network.head.weight, std=100)
        around = template if config.output == "offset" else template.mean(0)
        moved = (refiner(torch.randn(2, 6), template.expand(2, -1, -1)) - around).abs().max().item()
        assert moved == pytest.approx(config.range_dm, rel=1e-3)


def test_absolute_output_must_reach_the_mesh(pyramid):
    """Upstream clips what lies beyond 1 dm without a word; the head's shoulders do."""
    with pytest.raises(MeshGraphError, match="an absolute output only 1.0 dm"):
        MeshRefiner(RefinerConfig.of_authors(8), pyramid)


def test_sizes_that_do_not_fit(sheet):
    refiner = MeshRefiner(RefinerConfig(6), sheet)
    with pytest.raises(ValueError, match=r"\(B, 6\) and \(B, 1600, 3\) are expected"):
        refiner(torch.zeros(1, 7), torch.zeros(1, 1600, 3))
    with pytest.raises(ValueError, match="unknown output"):
        RefinerConfig(6, "relative")
    with pytest.raises(ValueError, match="positive"):
        RefinerConfig(6, range_dm=0.0)


def test_a_file_brings_its_mesh(tmp_path, model, pyramid, sheet):
    refiner = MeshRefiner(RefinerConfig(6), pyramid, "head")
    torch.nn.init.normal_(refiner.network.head.weight, std=0.05)
    refiner.save(tmp_path / "r")
    loaded = load_refiner(tmp_path / "r").refiner
    features, vertices = torch.randn(3, 6), faces(model)
    assert torch.allclose(loaded(features, vertices), refiner(features, vertices), atol=1e-6)
    assert loaded.config == refiner.config and loaded.digest == pyramid.digest
    loaded.check_fits(model)
    with pytest.raises(MeshGraphError, match="not for that of head"):
        MeshRefiner(RefinerConfig(6), sheet, "sheet").check_fits(model)
    refiner.save(tmp_path / "half", half=True)
    again = load_refiner(tmp_path / "half").refiner
    assert torch.allclose(again(features, vertices), refiner(features, vertices), atol=2e-3)


def test_wrong_files(tmp_path, sheet):
    save_snapshot(tmp_path / "other", {"a": torch.zeros(1)}, {"kind": "regressor"})
    with pytest.raises(CheckpointError, match="holds a 'regressor'"):
        load_refiner(tmp_path / "other")
    refiner = MeshRefiner(RefinerConfig(6), sheet)
    tensors = {k: v for k, v in refiner.state_dict().items() if k != "pyramid.up_2_values"}
    save_snapshot(tmp_path / "part", tensors, refiner.describe())
    with pytest.raises(CheckpointError, match="description is not usable"):
        load_refiner(tmp_path / "part")


def test_terms_against_closed_forms(model):
    given = faces(model)
    shift = torch.tensor([0.03, -0.02, 0.0])
    truth_px = project(model.points(given, "ibug68"))
    batch = batch_of(given, landmarks=truth_px, truth=given)
    terms = refinement_terms(given + shift, batch, model, landmarks_of(model), UNIT, RefinementWeights(truth=2.0))
    assert terms["l_shape"].item() == 0  # faces of known shape imitate no other
    seed = refinement_terms(given + shift, batch, model, landmarks_of(model), UNIT, RefinementWeights())
    assert seed["l_shape"].item() == pytest.approx((0.03**2 + 0.02**2) / 6, rel=1e-4)
    assert terms["l_normal"].item() < 1e-8  # a translation turns no normal
    assert terms["l_truth"].item() == pytest.approx(math.hypot(0.03, 0.02), rel=1e-4)
    depth = 10 - model.points(given, "ibug68")[..., 2]
    expected = ((1015 * math.hypot(0.03, 0.02) / depth) ** 2).mean().item()
    assert terms["l_landmark"].item() == pytest.approx(expected, rel=1e-3)
    assert "l_truth" not in seed
    sums = 1.6e-3 * terms["l_landmark"] + 100 * terms["l_shape"] + 100 * terms["l_normal"] + 2 * terms["l_truth"]
    assert terms["loss"].item() == pytest.approx(sums.item(), rel=1e-5)


def test_unknown_truths_count_nothing(model):
    """A photo among rendered faces: its row of NaN leaves the others' mean and all gradients alone."""
    given = faces(model, 2)
    truth = given.clone()
    truth[1] = math.nan
    moved = (given + torch.tensor([0.03, 0.0, 0.0])).requires_grad_()
    weights = RefinementWeights(landmark=0, truth=1.0)
    terms = refinement_terms(moved, batch_of(given, truth=truth), model, None, UNIT, weights)
    assert terms["l_truth"].item() == pytest.approx(0.03, rel=1e-4)
    assert terms["l_shape"].item() == pytest.approx(0.5 * 0.03**2 / 3 / 2, rel=1e-4)  # the photo's row alone
    terms["loss"].backward()
    assert torch.isfinite(moved.grad).all() and moved.grad[0].abs().sum() > 0
    none = refinement_terms(moved, batch_of(given, truth=torch.full_like(truth, math.nan)), model, None, UNIT, weights)
    assert none["l_truth"] == 0 and torch.isfinite(none["loss"])


def test_truth_follows_the_vertex_weights(model):
    given = faces(model, 1)
    weights = torch.zeros(len(model.mean))
    weights[:10] = 1
    moved = given.clone()
    moved[:, :5] += torch.tensor([0.0, 0.04, 0.0])
    moved[:, 100:] += 1
    off = RefinementWeights(0, 0, 0, truth=1.0)
    terms = refinement_terms(moved, batch_of(given, truth=given), model, None, UNIT, off, weights)
    assert terms["l_truth"].item() == pytest.approx(0.02, rel=1e-4)


def test_standardised_features(sheet):
    refiner = MeshRefiner(RefinerConfig(3), sheet)
    features = torch.randn(500, 3) * torch.tensor([5.0, 0.1, 0.0]) + 7
    refiner.standardise(features)
    mean, spread = refiner.feature_mean, refiner.feature_spread
    assert torch.allclose(((features - mean) / spread).std(0), torch.tensor([1.0, 1.0, 0.0]), atol=0.01)


def test_unknown_landmarks_do_not_count(model):
    given = faces(model, 1)
    landmarks = project(model.points(given, "ibug68")) + 3
    landmarks[:, 10:] = math.nan
    moved = given.clone().requires_grad_()
    terms = refinement_terms(
        moved, batch_of(given, landmarks=landmarks), model, landmarks_of(model), UNIT, RefinementWeights()
    )
    assert terms["l_landmark"].item() == pytest.approx(18 * 10 / 68, rel=1e-3)
    terms["loss"].backward()
    assert torch.isfinite(moved.grad).all()


@dataclass
class Raw:
    codes: torch.Tensor
    indices: torch.Tensor


def test_training_finds_what_the_features_know(model, pyramid, tmp_path):
    """The given shape lacks components 3 … 5 of the true one; the features hold their weights."""
    torch.manual_seed(0)
    refiner = MeshRefiner(RefinerConfig(6), pyramid, "head")

    def prepare(raw, step):
        truth, count = model.shape(raw.codes), len(raw.codes)
        pose = (torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3))
        return RefinementBatch(raw.codes, model.shape(raw.codes[:, :3]), *pose, truth=truth)

    def validation():
        yield Raw(torch.randn(16, 6, generator=torch.Generator().manual_seed(99)), torch.arange(16))

    weights = RefinementWeights(shape=0, normal=0, landmark=0, truth=1)
    method = RefinerMethod(
        refiner,
        model,
        make_accelerator("cpu"),
        prepare,
        landmarks_of(model),
        UNIT,
        weights,
        3e-3,
        validation=validation,
    )
    before = method.evaluate(0)
    assert before["refined_mm"] == pytest.approx(before["given_mm"])
    for step in range(70):
        method.training_step(Raw(torch.randn(4, 6), torch.arange(4)), step, EpochPosition(0, step, 100))
    after = method.evaluate(1)
    assert after["score"] == after["refined_mm"] < 0.95 * after["given_mm"]
    assert method.config()["kind"] == "mesh_refiner" and "truth=" in method.step_line({"loss": 1.0, "l_truth": 0.5})
    refiner.save(tmp_path / "r")
    assert read_config(tmp_path / "r")["face_model"] == "head"


def test_method_refuses_another_mesh(model, sheet):
    with pytest.raises(MeshGraphError, match="choose the face model"):
        RefinerMethod(MeshRefiner(RefinerConfig(6), sheet, "sheet"), model, make_accelerator("cpu"), None, None, UNIT)


def test_batch_from_a_dict(model):
    tensors = {
        "features": torch.zeros(1, 6),
        "vertices": model.mean[None],
        "rotation": torch.eye(3)[None],
        "photo": torch.ones(1),
    }
    batch = RefinementBatch.from_dict(tensors | {"translation": torch.zeros(1, 3)})
    assert batch.truth is None and batch.vertices is tensors["vertices"]
    with pytest.raises(TypeError, match="translation"):
        RefinementBatch.from_dict(tensors)
