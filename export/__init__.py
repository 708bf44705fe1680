"""Models as ONNX files that run without PyTorch: python -m export."""
