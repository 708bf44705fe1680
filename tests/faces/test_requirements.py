"""What pip installs with and without extras is together what make installs."""

import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from faces.commands import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
NOT_BY_MAKE = {"ray[data]>=2.9"}  # for several machines; large, and one machine does without
TOO_MUCH = {
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "ruff",
    "tensorboard",
    "matplotlib",
    "accelerate",
    "scikit-image",
    "torchvision",
}


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_requirements_are_those_of_the_package_and_its_extras(project):
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    wanted = sorted(filter(None, lines))
    extras = project["optional-dependencies"].values()
    offered = {*project["dependencies"], *(package for extra in extras for package in extra)}
    assert wanted == sorted(offered - NOT_BY_MAKE)


def test_the_base_is_for_inference(project):
    names = {re.split(r"[\[>=;]", package)[0] for package in project["dependencies"]}
    assert not names & TOO_MUCH


def test_missing_modules_are_told_by_the_extra_that_has_them(project):
    packages = {"skimage": "scikit-image"} | {m: names[0] for m, names in packages_distributions().items()}
    for extra, modules in EXTRAS.items():
        offered = {re.split(r"[\[>=;]", package)[0] for package in project["optional-dependencies"][extra]}
        assert {packages.get(module, module).lower() for module in modules} <= offered
