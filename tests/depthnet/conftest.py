"""A small synthetic data set in 3DFAW's layout, written once."""

import pytest

from datasets.synthetic.depth import write_dataset


@pytest.fixture(scope="session")
def faw(tmp_path_factory):
    root = tmp_path_factory.mktemp("faw")
    write_dataset(root, train=64, valid=16, per_pose=4)
    return root
