"""Print the results table of README.md from exps/results.jsonl: python exps/make_table.py [RESULTS]"""

import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """The newest row of every experiment, in the order of their first appearance."""
    path = Path(arguments[0]) if arguments else Path(__file__).parent / "results.jsonl"
    rows: dict[str, dict] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if "nme" in row:  # depths have a table of their own, printed by eval_depthnet.py
            rows[row["experiment"]] = row
    print("| experiment | paper NME % | ours NME % | AUC@10 | FR@10 % | n |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        numbers = f"{row['nme']:.2f} | {row['auc']:.3f} | {row['failure_rate']:.1f} | {row['n']}"
        print(f"| {name} | {row['paper']} | {numbers} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
