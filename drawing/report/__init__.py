"""Evaluation reports: one self-contained HTML page with tables, charts and pictures, and csv files beside it."""
