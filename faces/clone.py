"""In a clone, `faces.landmarks.detector` is `landmarks.detector`: one module under both names, so that a program
written against the installed package runs in a clone too.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

PREFIX = "faces."


def find_parts_beside(root: Path) -> None:
    """Let `faces.NAME` mean the module or folder NAME of a clone, whatever else of that name can be imported.

    Raises: ImportError where another package of the same name as one of the clone's folders is already imported.
    """
    own = {path.parent.name for path in root.glob("*/__init__.py")} | {path.stem for path in root.glob("*.py")}
    own -= {"faces", "setup"}
    for name in own & {*sys.modules}:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and not Path(file).resolve().is_relative_to(root):
            raise ImportError(
                f"{file} is imported already, and this clone has a '{name}' of its own; install the clone with"
                f" pip install {root}, which adds only the name 'faces'."
            )
    if not all(_is_below(root, name) for name in own):
        sys.path.insert(0, str(root))
    sys.meta_path.insert(0, _Beside(own))


def _is_below(root: Path, name: str) -> bool:
    """Whether importing the name takes the clone's file."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().is_relative_to(root)


class _Beside(MetaPathFinder, Loader):
    """Finds `faces.NAME` as NAME, and hands out the same module."""

    def __init__(self, own: set[str]) -> None:
        self.own = own

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of the module beside, under its longer name; None for all other modules."""
        name = fullname.removeprefix(PREFIX)
        if name == fullname or name.partition(".")[0] not in self.own:
            return None
        beside = importlib.util.find_spec(name)
        if beside is None:
            return None
        is_package = beside.submodule_search_locations is not None
        return ModuleSpec(fullname, self, origin=beside.origin, loader_state=beside, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module beside, imported under its own name."""
        return importlib.import_module(spec.name.removeprefix(PREFIX))

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run again; the specification that the import system has overwritten is put back."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state

    def get_code(self, fullname: str) -> CodeType | None:
        """What `python -m faces.NAME` runs."""
        spec = importlib.util.find_spec(fullname.removeprefix(PREFIX))
        return spec.loader.get_code(spec.name) if spec and isinstance(spec.loader, InspectLoader) else None
