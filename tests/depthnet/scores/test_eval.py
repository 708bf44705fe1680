"""eval_depthnet.py: the report, the dump, the figures, and one sentence for bad input."""

import json

import numpy as np
import pytest

import eval_depthnet
import train_depthnet
from common.pretrained import PRETRAINED


@pytest.fixture(scope="module")
def place(faw, tmp_path_factory):
    """A configuration with a session of two runs that were trained for one epoch."""
    root = tmp_path_factory.mktemp("eval")
    (root / "x.ini").write_text(f"[Paths]\nthreedfaw = {faw}\ndata = {root / 'data'}\noutputs = {root / 'out'}\n")
    flags = ["--config", str(root / "x.ini"), "--device", "cpu"]
    assert train_depthnet.main([*flags, "--no-gan", "--name", "a", "--seeds", "2", "--epochs", "1", "-b", "16"]) == 0
    return root, flags


def test_statistics_are_printed_in_order_and_stored(place, capsys):
    root, flags = place
    assert (
        eval_depthnet.main([*flags, "-r", "a", "depthnet_gan", "--compute_stats", "--json", str(root / "s.json")]) == 0
    )
    text = capsys.readouterr().out
    places = [
        text.index(part)
        for part in (
            "Computing stats on validation set...",
            "DepthCorr: ",
            "src: all, tgt: all",
            "kp error: ",
            "Computing stats on test set...",
            "left\t\tcenter\t\tright",
        )
    ]
    assert places == sorted(places)
    content = json.loads((root / "s.json").read_text())
    assert len(content["models"]["test"]["a"]) == 2 and len(content["models"]["test"]["depthnet_gan"]) == 1
    assert content["controls"]["test"]["true depth"]["depth_corr"] == pytest.approx(66, abs=1e-6)
    assert content["controls"]["test"]["constant template"]["depth_corr"] == 0


def test_dump_and_figures(place):
    root, flags = place
    assert eval_depthnet.main([*flags, "-r", "a", "--dump_depths", str(root / "d.npz")]) == 0
    with np.load(root / "d.npz", allow_pickle=False) as content:
        preds = content["preds"]
    assert preds.shape == (12, 12, 66) and (preds[np.arange(12), np.arange(12)] == 0).all() and np.ptp(preds) > 0
    assert eval_depthnet.main([*flags, "-r", "a", "depthnet_gan", "--figures", str(root / "f"), "--faces", "2"]) == 0
    assert {p.name for p in (root / "f").iterdir()} == {"faces.png", "heatmap_a.png", "heatmap_depthnet_gan.png"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "nothing to do"),
        (["--compute-stats", "-r", "b"], "no model 'b'"),
        (["--compute-stats", "--dataset", "x"], "not found"),
        (["--dump-depths", "d.npz", "-r", "a", "depthnet_gan"], "takes one model"),
        (["--compute-stats", "--stats-count", "1"], "--stats-count"),
        (["--compute-stats", "-r", "landmarks_300w"], "not a DepthNet or AIGN"),
    ],
)
def test_bad_input_gets_one_sentence(place, capsys, more, says):
    assert eval_depthnet.main([*place[1], *more]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_bundled_model_is_small_and_described():
    folder = PRETRAINED / "depthnet_gan"
    assert sum(p.stat().st_size for p in folder.iterdir()) < 4 * 2**20
    assert "research use" in (folder / "README.md").read_text()
