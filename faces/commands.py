"""The console commands of an installed package: `faces-demo`, `faces-models`, `faces-eval NAME`, `faces-train-…`.

Each runs the script of the repository that it is named after; `faces-eval landmarks` is `python eval_landmarks.py`.
"""

import sys
from importlib import import_module
from pathlib import Path

EVALUATIONS = ("landmarks", "depthnet", "recon3d")
EXTRAS = {  # of pyproject.toml, and the modules that each adds
    "train": ("accelerate", "matplotlib", "tensorboard", "torchvision"),
    "app": ("gradio",),
    "onnx": ("onnx", "onnxruntime"),
    "scale": ("pyarrow", "ray"),
}


def main() -> int:
    """The command by whose name the program was called. Exit code: that of the script; 2 for wrong input."""
    command = Path(sys.argv[0]).stem.removeprefix("faces-")
    arguments = sys.argv[1:]
    if command == "eval":
        if not arguments or arguments[0] not in EVALUATIONS:
            sys.stderr.write(f"usage: faces-eval {{{','.join(EVALUATIONS)}}} …; faces-eval landmarks -h says more\n")
            return 0 if arguments and arguments[0] in ("-h", "--help") else 2
        command, arguments = f"eval-{arguments[0]}", arguments[1:]
        sys.argv[0] = f"faces-{command.replace('-', ' ', 1)}"
    module = {"models": "model_zoo", "warp": "warp_face"}.get(command, command.replace("-", "_"))
    try:
        return import_module(f"faces.{module}").main(arguments)
    except ModuleNotFoundError as error:
        extra = next((extra for extra, names in EXTRAS.items() if str(error.name).split(".")[0] in names), None)
        if extra is None:
            raise
        sys.stderr.write(f"error: this needs {error.name}; pip install 'faces-in-pytorch[{extra}]'.\n")
        return 2
