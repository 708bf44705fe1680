"""Append one line to the results: python exps/append_result.py RESULTS NAME PAPER_VALUE SUMMARY_JSON COMMAND…"""

import datetime
import json
import sys
from pathlib import Path


def append(results: str, row: dict) -> None:
    """Add a line to the results, with today's date."""
    with Path(results).open("a") as file:
        file.write(json.dumps({**row, "date": datetime.date.today().isoformat()}) + "\n")


def main(arguments: list[str]) -> int:
    """PAPER_VALUE is a number with its source, such as '3.36 (paperswithcode)', or 'none'."""
    results, name, paper, summary_file, *command = arguments
    summary = json.loads(Path(summary_file).read_text())
    protocol = summary["protocol"]
    row = {
        "experiment": name,
        "paper": paper,
        "nme": summary["nme"],
        "auc": summary["auc"],
        "failure_rate": summary["failure_rate"],
        "n": summary["n"],
        "protocol": protocol,
        "commit": protocol["commit"],
        "seed": protocol["seed"],
        "command": " ".join(command),
    }
    if "controls" in summary:
        row["controls"] = summary["controls"]
    if "gte" in summary:
        row["gte"] = summary["gte"]
    append(results, row)
    print(f"{name}: NME {summary['nme']:.3f} % (paper: {paper}), n = {summary['n']}, appended to {results}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
