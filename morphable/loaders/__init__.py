"""Readers of published face models."""
