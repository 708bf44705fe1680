"""Smoke runs of the experiments with depth."""

import pytest

from tests.scripts.smoke import DEPTH, smoke


@pytest.mark.slow
@pytest.mark.parametrize("script", DEPTH, ids=lambda p: p.stem)
def test_smoke(script, smoke_folder, python, tmp_path):
    smoke(script, smoke_folder, python, tmp_path)
