"""Rendered faces with exact labels, and drawn data sets in the layouts of others."""
