"""Print the results tables of README.md, landmarks and depths, from exps/results.jsonl: python exps/make_table.py
[RESULTS]
"""

import json
import sys
from pathlib import Path

DEPTH_COLUMNS = (  # key, title, factor, format
    ("depth_corr", "DepthCorr", 1, ".1f"),
    ("kp_mean", "kp error e-5", 1e5, ".2f"),
    ("gauge_corr", "gauge-fixed", 1, ".1f"),
    ("cosine", "cos z⊥", 1, ".4f"),
    ("beyond_mean", "beyond mean", 1, "+.2f"),
    ("pair_corr", "Pearson/face", 1, "+.2f"),
    ("r2_gain", "R² gain", 1, "+.4f"),
)
POSES = ("left", "center", "right")


def with_spread(mean: float, deviation: float | None, form: str) -> str:
    """Mean ± deviation over seeds."""
    return f"{mean:{form}}" + ("" if deviation is None else f" ± {deviation:{form.lstrip('+')}}")


def print_depths(rows: dict[str, dict]) -> None:
    """Tables 3 and 2 of DepthNets: scores over all pairs, then DepthCorr by pose of source (rows) and target."""
    print("| | " + " | ".join(title for _, title, _, _ in DEPTH_COLUMNS) + " | seeds |")
    print("|" + "---|" * (len(DEPTH_COLUMNS) + 2))
    for name, row in rows.items():
        spread = {key: row.get(f"{key}_std_over_seeds") for key, *_ in DEPTH_COLUMNS}
        cells = [
            with_spread(row[key] * factor, None if spread[key] is None else spread[key] * factor, form)
            for key, _, factor, form in DEPTH_COLUMNS
        ]
        print(f"| {name} | " + " | ".join(cells) + f" | {row['seeds']} |")
    print("\n| | source | " + " | ".join(POSES) + " |\n" + "|" + "---|" * (len(POSES) + 2))
    for name, row in rows.items():
        for i, pose in enumerate(POSES if "table" in row else ()):
            spread = row["table_std_over_seeds"][i] if "table_std_over_seeds" in row else [None] * len(row["table"][i])
            cells = [with_spread(*pair, ".1f") for pair in zip(row["table"][i], spread, strict=True)]
            cells = cells * len(POSES) if len(cells) == 1 else cells
            print(f"| {name if i == 0 else ''} | {pose} | " + " | ".join(cells) + " |")


def main(arguments: list[str]) -> int:
    """The newest row of every experiment, in the order of their first appearance."""
    path = Path(arguments[0]) if arguments else Path(__file__).parent / "results.jsonl"
    rows: dict[str, dict] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        rows[row["experiment"]] = row
    print("| experiment | paper NME % | ours NME % | AUC@10 | FR@10 % | n |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        if "nme" not in row:
            continue
        numbers = f"{row['nme']:.2f} | {row['auc']:.3f} | {row['failure_rate']:.1f} | {row['n']}"
        print(f"| {name} | {row['paper']} | {numbers} |")
    depths = {name: row for name, row in rows.items() if "depth_corr" in row}
    if depths:
        print()
        print_depths(depths)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
