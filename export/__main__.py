"""Write a model as ONNX, compared with PyTorch, with its pre- and post-processing inside or described beside it.

    python -m export landmarks_fast                                    # landmarks_fast.onnx
    python -m export landmarks_300w --dtype fp16 --out lms.onnx    # half the size, the same numbers
    python -m export landmarks_fast --dtype int8 --calibration photos --out lms_int8.onnx
    python -m export regressor_120 --dense                             # all vertices too
    python -m export reconstructor
    python -m export yunet                                             # the face detector, which is ONNX already

Input `crops` (B, 3, S, S) uint8 RGB of any number of faces. docs/export.md has inputs, outputs, crops and accuracy.
"""

import sys

from common.scripts import run_script
from export.run import run
from export.settings import ExportSettings


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(run, ExportSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
