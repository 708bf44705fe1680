"""MkDocs hook: the model cards beside the weights become pages of the site, and links to them lead there."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add model_cards/<name>.md for every pretrained/<name>/README.md."""
    for card in sorted(PRETRAINED.glob("*/README.md")):
        content = card.read_text(encoding="utf-8")
        files.append(File.generated(config, f"model_cards/{card.parent.name}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to pretrained/<name>/README.md as links to the pages."""
    return re.sub(r"\]\(\.\./pretrained/(\w+)/README\.md\)", r"](model_cards/\1.md)", markdown)
