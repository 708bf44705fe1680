"""Speed and memory beside references of the same run: python -m benchmarks NAME."""
