"""Every bundled model loads by its name alone; the script prints the list."""

import pytest
import torch
from skimage.data import astronaut

import depthnet.models
import landmarks.models
import model_zoo
from common.checkpoint import save_snapshot
from common.errors import CheckpointError, UserError
from common.pretrained import list_models, model_entry
from datasets.face import Face
from depthnet.predictor import DepthPredictor
from depthnet.replacement.models import load_cyclegan
from landmarks.detector import LandmarkDetector
from landmarks.net_models import load_net
from morphable.model import FaceModel
from recon3d.identity.features import load_small_identity
from recon3d.inference.reconstructor import Reconstructor
from recon3d.reconstruction.models import load_reconstructor
from recon3d.refinement.refiner import load_refiner
from recon3d.refinement.texture_refiner import load_texture_refiner
from recon3d.regression.models import load_regressor
from recon3d.regression.regressor import FaceRegressor


@pytest.mark.parametrize("name", [*list_models(bundled=True), "300w"])
def test_bundled_models_load_by_name(name):
    task = model_entry(name).task
    if task in ("refine", "identity"):
        assert isinstance(model_zoo.load_model(name, device="cpu"), torch.nn.Module)
        return
    if task == "albedo":
        assert isinstance(model_zoo.load_model(name), FaceModel)
        return
    if task == "detection":
        (found,) = model_zoo.load_model(name)(astronaut())
        assert found.points.shape == (5, 2)
        return
    (face,) = model_zoo.load_model(name, device="cpu")(astronaut())
    assert isinstance(face, Face) and len(face.landmarks) == 68


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(CheckpointError, match="landmarks_300w"):
        model_zoo.load_model("no_such_model")
    with pytest.raises(CheckpointError, match="github.com/cleardusk"):
        model_zoo.load_model(str(tmp_path / "mb05_120x120.pth"))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/config.json").write_text('{"format": 1, "kind": "cyclegan"}')
    with pytest.raises(CheckpointError, match="cyclegan"):
        model_zoo.load_model(str(tmp_path / "odd"))


LOADERS = [
    (landmarks.models.load_model, "an autoencoder or a landmark network"),
    (landmarks.models.load_autoencoder, "an autoencoder"),
    (load_net, "a landmark network"),
    (depthnet.models.load_model, "a DepthNet or AIGN"),
    (load_cyclegan, "a CycleGAN"),
    (load_regressor, "a 3DMM regressor"),
    (load_reconstructor, "a reconstructor"),
    (load_refiner, "a mesh refiner"),
    (load_texture_refiner, "a texture refiner"),
    (load_small_identity, "an identity network"),
]


@pytest.mark.parametrize("load, title", LOADERS)
def test_every_loader_says_the_same_of_another_kind(load, title, tmp_path):
    save_snapshot(tmp_path / "odd", {"a": torch.zeros(1)}, {"kind": "toy"})
    with pytest.raises(CheckpointError, match=f"odd: holds a 'toy', not {title}; choose another snapshot"):
        load(str(tmp_path / "odd"))


def test_every_loader_gives_networks_for_evaluation():
    loaded = (
        landmarks.models.load_model("landmarks_300w").networks,
        landmarks.models.load_model("landmarks_fast").networks,
        depthnet.models.load_model("depthnet_gan").networks,
        load_regressor("regressor_120").model,
        load_reconstructor("reconstructor").net,
        load_refiner("reconstructor_small_gcn").refiner,
        load_small_identity("identity")[0],
    )
    assert not any(module.training for network in loaded for module in network.modules())


def test_the_ini_file_says_where_face_models_and_sessions_lie(tmp_path, monkeypatch):
    (tmp_path / "local_config.ini").write_text("[Paths]\ndata = store\nict = my_ict\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no face model '.*/my_ict'"):
        FaceRegressor.from_pretrained("regressor_120", "ict")
    with pytest.raises(UserError, match="no face model '.*/my_ict'"):
        Reconstructor.from_pretrained("reconstructor", face_model="ict")
    for predictor in (FaceRegressor, Reconstructor, LandmarkDetector, DepthPredictor):
        with pytest.raises(CheckpointError, match="no model 'mine' .*store/models/snapshots"):
            predictor.from_pretrained("mine")


def test_the_script_prints_scores_with_protocols(capsys):
    assert model_zoo.main([]) == 0
    out = capsys.readouterr().out
    assert "landmarks_300w" in out and "LFPW" in out and "github.com/cleardusk" in out
    assert model_zoo.main(["--verify"]) == 0
    capsys.readouterr()
    assert model_zoo.main(["--markdown"]) == 0 and "| `landmarks_300w` |" in capsys.readouterr().out
