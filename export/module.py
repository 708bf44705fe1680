"""What can be exported: a module from crops to named outputs, and the writing of its ONNX file."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import DataError

OPSET = 17
INPUT = "crops"
TOLERANCE_PX = 1e-2
# factors on differences of outputs that are no px, so that points decide: parameters of a model differ by decades
FACTORS = {"parameters": 1e-3, "coefficients": 1e-1}


class ExportedModule(nn.Module):
    """Crops (B, 3, S, S) uint8 RGB → tensors as `outputs` names them.

    Attributes: size: S in px.
    """

    size: int

    @property
    def outputs(self) -> list[str]:
        """Names in order."""
        raise NotImplementedError


def write_onnx(module: ExportedModule, path: Path, finish: Callable[[Path], None] | None = None) -> float:
    """Write the file, whole or not at all; the largest difference of its points from PyTorch's, crop px.

    Args: finish: changes the file in place once it was compared, to another precision.
    Raises: DataError when it differs by more than 0.01 px, or when onnx and onnxruntime are not installed.
    """
    require_onnx()
    module.eval()
    example = random_crops(module.size)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            temporary = Path(folder) / "model.onnx"
            with warnings.catch_warnings(), torch.inference_mode():
                warnings.simplefilter("ignore")  # the exporter advises on its own successor, which needs onnxscript
                torch.onnx.export(
                    module,
                    (example,),
                    str(temporary),
                    input_names=[INPUT],
                    output_names=module.outputs,
                    opset_version=OPSET,
                    dynamic_axes={name: {0: "batch"} for name in (INPUT, *module.outputs)},
                    dynamo=False,
                )
            worst = largest_difference(module, temporary, example)
            if not worst <= TOLERANCE_PX:
                raise DataError(f"{path}: ONNX differs from PyTorch by {worst:.3g} px, so it is not written.")
            if finish is not None:
                finish(temporary)
            temporary.replace(path)
    except OSError as error:
        raise DataError(f"--out {path}: cannot be written ({error.strerror}); name another file.") from None
    return worst


def require_onnx() -> None:
    """Raises: DataError where onnx or onnxruntime is not installed."""
    try:
        import onnx  # noqa: F401  the exporter needs it
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise DataError(f"ONNX export needs {error.name}; pip install onnx onnxruntime.") from None


def random_crops(size: int, count: int = 2) -> Tensor:
    """(count, 3, size, size) uint8 of a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def largest_difference(module: ExportedModule, path: Path, crops: Tensor) -> float:
    """Of the file's outputs from the module's on batches of several sizes, px of the crop."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (crops, crops[:1], crops.repeat(3, 1, 1, 1)):
        with torch.inference_mode():
            expected = module(batch)
        found = session.run(None, {INPUT: batch.numpy()})
        for name, one, other in zip(module.outputs, found, expected, strict=True):
            worst = max(worst, FACTORS.get(name, 1.0) * float(np.abs(one - other.numpy()).max()))
    return worst
