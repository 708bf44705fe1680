"""Run docs/tour.ipynb and store it with its pictures.

python docs/run_tour.py     # needs nbclient and ipykernel
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).resolve().parent / "tour.ipynb"
CELL_S = 600


def run_tour() -> nbformat.NotebookNode:
    """The executed notebook, without what differs from run to run. Raises: nbclient's CellExecutionError."""
    notebook = nbformat.read(TOUR, as_version=4)
    NotebookClient(
        notebook, timeout=CELL_S, kernel_name="python3", resources={"metadata": {"path": TOUR.parent}}
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]  # progress bars
    return notebook


def main() -> int:
    """Exit code 0."""
    nbformat.write(run_tour(), TOUR)
    return 0


if __name__ == "__main__":
    sys.exit(main())
