"""Headers of the experiments, and their tables; the smoke runs are in test_exps_*.py, one file per worker."""

import json
import os
import subprocess
import sys

import pytest

from tests.scripts.smoke import GROUPS, ROOT, SCRIPTS


def test_every_script_has_one_smoke_run():
    assert sorted(script for group in GROUPS.values() for script in group) == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_header(script):
    text = script.read_text()
    for word in ("Expected", "Hardware", "SMOKE=1"):
        assert word in text, f"{script.name} says nothing about {word}"
    assert os.access(script, os.X_OK)


def test_table_is_made_from_results(tmp_path):
    row = {"experiment": "a", "paper": "3.36", "nme": 4.0, "auc": 0.6, "failure_rate": 1.0, "n": 224}
    (tmp_path / "r.jsonl").write_text(json.dumps(row | {"nme": 9.0}) + "\n" + json.dumps(row) + "\n")
    command = [sys.executable, str(ROOT / "exps/make_table.py"), str(tmp_path / "r.jsonl")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "| a | 3.36 | 4.00 | 0.600 | 1.0 | 224 |"


def test_table_of_depths_has_means_deviations_and_poses(tmp_path):
    """append_depth.py stores what eval_depthnet.py wrote; make_table.py prints both tables of it."""
    keys = ("depth_corr", "kp_mean", "gauge_corr", "cosine", "beyond_mean", "pair_corr", "r2_gain")
    runs = [dict.fromkeys(keys, float(value)) | {"table": [[10.0 + value] * 3] * 3} for value in (1, 3)]
    content = {"settings": {"dataset": "d", "seed": 0}, "models": {"test": {"m": runs}}, "controls": {}}
    (tmp_path / "scores.json").write_text(json.dumps(content))
    append = [sys.executable, str(ROOT / "exps/append_depth.py"), str(tmp_path / "r.jsonl"), "DepthNet", "none"]
    subprocess.run([*append, str(tmp_path / "scores.json")], check=True, capture_output=True)
    table = [sys.executable, str(ROOT / "exps/make_table.py"), str(tmp_path / "r.jsonl")]
    lines = subprocess.run(table, check=True, capture_output=True, text=True).stdout.splitlines()
    assert "| DepthNet | 2.0 ± 1.4 | 200000.00 ± 141421.36 |" in "\n".join(lines)
    assert lines[-1] == "|  | right | 12.0 ± 1.4 | 12.0 ± 1.4 | 12.0 ± 1.4 |"
