"""Every bundled model loads by its name alone; the script prints the list."""

import pytest
import torch
from skimage.data import astronaut

import model_zoo
from common.errors import CheckpointError
from common.pretrained import list_models, model_entry
from datasets.face import Face


@pytest.mark.parametrize("name", [*list_models(bundled=True), "300w"])
def test_bundled_models_load_by_name(name):
    task = model_entry(name).task
    if task in ("refine", "identity"):
        assert isinstance(model_zoo.load_model(name, device="cpu"), torch.nn.Module)
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


def test_the_script_prints_scores_with_protocols(capsys):
    assert model_zoo.main([]) == 0
    out = capsys.readouterr().out
    assert "landmarks_300w" in out and "LFPW" in out and "github.com/cleardusk" in out
    assert model_zoo.main(["--verify"]) == 0
    capsys.readouterr()
    assert model_zoo.main(["--markdown"]) == 0 and "| `landmarks_300w` |" in capsys.readouterr().out
