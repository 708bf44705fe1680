"""The list of models is complete and true to the files beside it."""

import json
import re
from pathlib import Path

import pytest

from common import pretrained
from common.errors import CheckpointError
from common.pretrained import PRETRAINED, TASKS, list_models, markdown_table, model_entries, model_entry, verify

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = sorted(path.parent.name for path in PRETRAINED.glob("*/README.md"))


def test_every_folder_is_listed_and_every_entry_is_complete():
    assert sorted(list_models(bundled=True)) == BUNDLED
    for entry in model_entries():
        texts = (entry.does, entry.input, entry.method, entry.trained_on, entry.licence, entry.origin)
        assert entry.task in TASKS and all(texts), entry.name
        assert all(score.metric and score.protocol and score.value > 0 for score in entry.scores)
        assert not entry.bundled or entry.scores, f"{entry.name}: a bundled model without a score"


@pytest.mark.parametrize("name", BUNDLED)
def test_weights_are_the_listed_ones(name):
    path = verify(name)
    assert path.stat().st_size == model_entry(name).bytes
    card = (PRETRAINED / name / "README.md").read_text()
    assert "licence" in card


@pytest.mark.parametrize("name", [name for name in BUNDLED if (PRETRAINED / name / "config.json").is_file()])
def test_configurations_hold_no_paths_of_a_machine(name):
    strings = re.findall(r'"([^"]*)"', (PRETRAINED / name / "config.json").read_text())
    assert not [s for s in strings if s.startswith(("/", "~", "\\")) or re.match(r"[A-Za-z]:\\", s)]


def test_changed_and_missing_weights_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        verify("identity")
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity/model.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointError, match="SHA-256"):
        verify("identity")


def test_names_aliases_and_tasks():
    assert model_entry("300w").name == "landmarks_300w" and set(list_models("depth", bundled=True)) == {
        "depthnet_gan",
        "spectral_depth",
    }
    assert set(list_models("mesh", bundled=False)) == {"mb05_120x120.pth", "mb1_120x120.pth"}
    with pytest.raises(CheckpointError, match="landmarks_300w"):
        model_entry("resnet")
    with pytest.raises(CheckpointError, match="choose one of"):
        list_models("hair")
    with pytest.raises(CheckpointError, match="github"):
        verify("mb05_120x120.pth")


def test_a_damaged_list_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path)
    (tmp_path / "models.json").write_text(json.dumps([{"name": "x"}]))
    model_entries.cache_clear()
    with pytest.raises(CheckpointError, match=r"models\.json"):
        model_entries()
    monkeypatch.undo()
    model_entries.cache_clear()


def test_the_readme_shows_the_list():
    text = (ROOT / "README.md").read_text()
    shown = re.search(r"<!-- models -->\n(.*?)\n<!-- /models -->", text, re.S)
    assert shown is not None and shown[1] == markdown_table()
