"""Smoke runs of the experiments with meshes."""

import pytest

from tests.scripts.smoke import MESHES, smoke


@pytest.mark.slow
@pytest.mark.parametrize("script", MESHES, ids=lambda p: p.stem)
def test_smoke(script, smoke_folder, python, tmp_path):
    smoke(script, smoke_folder, python, tmp_path)
