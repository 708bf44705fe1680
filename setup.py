"""Builds the wheel, in which all folders of the repository lie below the one import name `faces`.

In the repository `datasets/`, `landmarks/`, … are top-level packages and import each other as such. Installed like
that, they would overwrite other projects' packages (Hugging Face's `datasets` is one), so every module is written to
`faces/…` and its imports of our own modules get `faces.` before them. What it says of commands is changed alike:
`python -m datasets.commands.convert` becomes `python -m faces.datasets.commands.convert`, `python demo.py` the console
command `faces-demo`. Everything else is in pyproject.toml. Of the model weights only those free for any use go in.
"""

import json
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

NOT_INSTALLED = ("faces", "benchmarks", "tests", "exps")
SCRIPTS = sorted(path.stem for path in Path().glob("*.py") if path.name != "setup.py")
PARTS = sorted(path.parent.name for path in Path().glob("*/__init__.py") if path.parent.name not in NOT_INSTALLED)
OWN = "|".join(PARTS + SCRIPTS)
FREE_LICENCES = ("MIT", "CC0")


def below_faces(source: str) -> str:
    """Source text as it stands in the wheel: own imports below `faces`, commands as they are called there."""
    source = re.sub(rf"^(\s*(?:>>> )?from )((?:{OWN})(?:\.\w+)* import )", r"\1faces.\2", source, flags=re.M)
    source = re.sub(rf"(python -m )((?:{'|'.join(PARTS)})\b)", r"\1faces.\2", source)
    return re.sub(rf"(?<![\w/.])(?:python )?({'|'.join(SCRIPTS)})\.py\b", lambda match: command(match[1]), source)


def command(script: str) -> str:
    """Console command of a script: train_3dmm → faces-train-3dmm, eval_recon3d → faces-eval recon3d."""
    names = {"model_zoo": "faces-models", "warp_face": "faces-warp"}
    if script.startswith("eval_"):
        return f"faces-eval {script.removeprefix('eval_')}"
    return names.get(script, f"faces-{script.replace('_', '-')}")


def free_weights() -> list[str]:
    """Files below pretrained/ that the wheel holds: cards and descriptions of all models, weights of the free ones."""
    entries = json.loads(Path("pretrained/models.json").read_text(encoding="utf-8"))
    files = {entry["file"] for entry in entries if entry["licence"].startswith(FREE_LICENCES)}
    free = [file for file in files if not file.startswith("..")]  # the face model lies in its own package
    others = (p for p in Path("pretrained").glob("*/*") if p.suffix != ".safetensors" and p.stat().st_size < 2**16)
    cards = [str(path.relative_to("pretrained")) for path in others]
    return sorted({"models.json", *free, *cards})


class OneImportName(build_py):
    """Copies modules below `faces` and tells them so."""

    def run(self) -> None:
        """Build into an empty folder, so that no module of an older build stays."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def build_packages(self) -> None:
        """The folders, and the scripts of the repository as modules of `faces`."""
        super().build_packages()
        for script in SCRIPTS:
            self.build_module(script, f"{script}.py", "faces")

    def build_module(self, module: str, module_file: str, package: str) -> tuple:
        """One module, with its imports and commands."""
        built, copied = super().build_module(module, module_file, package)
        path = Path(built)
        path.write_text(below_faces(path.read_text(encoding="utf-8")), encoding="utf-8")
        return built, copied

    def get_source_files(self) -> list[str]:
        """What a source distribution needs."""
        return [*super().get_source_files(), *(f"{script}.py" for script in SCRIPTS)]


packages = [name for name in find_packages() if name.split(".")[0] in PARTS]
setup(
    packages=["faces", *(f"faces.{name}" for name in packages), "faces.pretrained"],
    package_dir={"faces": "faces", **{f"faces.{name}": name.replace(".", "/") for name in (*packages, "pretrained")}},
    package_data={
        "faces": ["py.typed"],
        "faces.drawing.report": ["page.html"],
        "faces.morphable": ["assets/*"],
        "faces.pretrained": free_weights(),
        "faces.webpage": ["samples/*.jpg"],
    },
    cmdclass={"build_py": OneImportName},
)
