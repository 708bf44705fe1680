"""Scores of landmarks and images; tables and plots of them."""
