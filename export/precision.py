"""ONNX files in other precisions: weights in half precision, and static int8 quantization."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export.module import INPUT

DTYPES = ("fp32", "fp16", "int8")
SMALLEST_WEIGHT = 256  # numbers, from which a tensor is stored in half precision
QUANTIZED = ("Conv", "ConvTranspose")  # the rest is a few per cent of the work and decides on the coordinates


def store_in_half(path: Path) -> None:
    """Change a file in place: large weights are stored as float16 and cast when it is loaded, so that every device
    computes in float32. Half the size; the bundled weights are rounded to float16 already.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else None
        if values is None or values.size < SMALLEST_WEIGHT or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def quantize(path: Path, crops: np.ndarray) -> None:
    """Change a file in place: convolutions in int8 with one scale per channel, activations calibrated on crops (N, 3,
    S, S) uint8 by their extremes.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        """One crop at a time."""

        def __init__(self) -> None:
            self._crops: Iterator[np.ndarray] = iter(crops)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next input, None at the end."""
            crop = next(self._crops, None)
            return None if crop is None else {INPUT: crop[None]}

    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=list(QUANTIZED),
    )
    prepared.unlink()
