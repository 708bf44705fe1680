"""Commands that convert and pack datasets: python -m datasets.commands.NAME."""
