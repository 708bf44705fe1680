"""The experiments of exps/, in the groups that are smoke-tested in one file each, and one smoke run."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(p for p in (ROOT / "exps").glob("*.sh") if p.name != "common.sh")
DEPTH = [script for script in SCRIPTS if "depthnet" in script.stem]
LANDMARKS = [
    script for script in SCRIPTS if script.stem.startswith(("3fabrec", "parface", "bundled_landmarks", "synthetic"))
]
MESHES = [script for script in SCRIPTS if script not in DEPTH and script not in LANDMARKS]
GROUPS = {"landmarks": LANDMARKS, "depth": DEPTH, "meshes": MESHES}


def smoke(script: Path, folder: Path, python: Path, start: Path) -> None:
    """Run a script on drawings below folder, from the folder `start`, and check the line that it adds to the
    results.
    """
    results = folder / "results.jsonl"
    before = len(results.read_text().splitlines()) if results.exists() else 0
    environment = os.environ | {"SMOKE": "1", "SMOKE_DIR": str(folder), "PYTHON": str(python)}
    result = subprocess.run(
        ["bash", str(script)], env=environment, cwd=start, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    rows = [json.loads(line) for line in results.read_text().splitlines()][before:]
    metric = "depth_corr" if "depthnet" in script.name else "nme"
    assert rows, f"{script.name} added no result"
    for row in rows:
        assert {"command", "commit", "seed", metric, "paper", "protocol"} <= set(row)
