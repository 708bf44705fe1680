"""Where bundled models lie."""

from pathlib import Path

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"
