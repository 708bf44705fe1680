"""Where the page's files lie while somebody looks at them: one folder per visit, gone when the visit ends."""

import os
import shutil
import tempfile
from pathlib import Path


class PageFolders:
    """All files of a running page below one temporary folder: uploads, results and samples.

    The folder is removed by `close`, and by the garbage collector or at exit where nobody calls it.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="faces-page-")
        self.root = Path(self._temporary.name)
        self.samples = self._made("samples")
        # Gradio reads this when it is imported; uploads and copies of results go there
        os.environ["GRADIO_TEMP_DIR"] = str(self._made("cache"))

    def _made(self, name: str) -> Path:
        path = self.root / name
        path.mkdir()
        return path

    def fresh(self, visit: str, kind: str) -> Path:
        """An empty folder for one kind of results of a visit; what the visit had there before is removed."""
        path = self.root / "visits" / visit / kind
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def forget(self, visit: str) -> None:
        """Remove what a visit left."""
        shutil.rmtree(self.root / "visits" / visit, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        self._temporary.cleanup()
