"""Smoke runs of the experiments with landmarks."""

import pytest

from tests.scripts.smoke import LANDMARKS, smoke


@pytest.mark.slow
@pytest.mark.parametrize("script", LANDMARKS, ids=lambda p: p.stem)
def test_smoke(script, smoke_folder, python, tmp_path):
    smoke(script, smoke_folder, python, tmp_path)
