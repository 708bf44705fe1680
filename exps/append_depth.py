"""Append one line to the results: python exps/append_depth.py RESULTS NAME PAPER_VALUE SCORES_JSON"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from append_result import append


def commit() -> str:
    """Short hash of the checkout, empty outside one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()


def main(arguments: list[str]) -> int:
    """SCORES_JSON is what `eval_depthnet.py --compute-stats --json` wrote for one model."""
    results, name, paper, scores_file = arguments
    scores = json.loads(Path(scores_file).read_text())
    (session, runs), *_ = scores["models"]["test"].items()
    keys = [key for key, value in runs[0].items() if isinstance(value, float)]
    means = {key: statistics.fmean(run[key] for run in runs) for key in keys}
    spread = (
        {f"{key}_std_over_seeds": statistics.stdev([run[key] for run in runs]) for key in keys} if len(runs) > 1 else {}
    )
    if "table" in runs[0]:  # by pose of source and target
        cells = [
            [[run["table"][i][j] for run in runs] for j in range(len(row))] for i, row in enumerate(runs[0]["table"])
        ]
        means["table"] = [[statistics.fmean(cell) for cell in row] for row in cells]
        spread |= (
            {"table_std_over_seeds": [[statistics.stdev(cell) for cell in row] for row in cells]}
            if len(runs) > 1
            else {}
        )
    settings = scores["settings"]
    row = {
        "experiment": name,
        "paper": paper,
        **means,
        **spread,
        "seeds": len(runs),
        "commit": commit(),
        "seed": settings["seed"],
        "protocol": {"dataset": settings["dataset"], "split": "test", "pairs": "all ordered pairs"},
        "controls": {key: value.get("depth_corr") for key, value in scores["controls"].get("test", {}).items()},
        "command": f"eval_depthnet.py --compute-stats -r {session} --dataset {settings['dataset']}",
    }
    append(results, row)
    print(f"{name}: DepthCorr {means['depth_corr']:.2f} (paper: {paper}), {len(runs)} seeds, appended to {results}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
