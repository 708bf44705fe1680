"""Benchmarks of regressors and reconstructors."""
