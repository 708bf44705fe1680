"""Smoke runs of the experiments with landmarks."""

import pytest

from tests.scripts.smoke import LANDMARKS, smoke


@pytest.mark.slow
@pytest.mark.parametrize("script", LANDMARKS, ids=lambda p: p.stem)
def test_smoke(script, smoke_folder, python, tmp_path):
    smoke(script, smoke_folder, python, tmp_path)


def test_parface_runs_what_its_authors_ran():
    """Datasets, losses, crops and networks of ParFace-Net's README, which differ from this codebase's defaults."""
    text = next(script for script in LANDMARKS if script.stem == "parface_stages").read_text()
    assert "(celeba wlp300 menpo2d ls3d neuroface meei palsy affectnet)" in text
    lines = [line for line in text.splitlines() if line.startswith("train train_aae_unsupervised")]
    assert [line.split("--with-l1-loss ")[1] for line in lines] == ["0", "1", "0"] and len(lines) == 3
    assert all('"${common[@]}"' in line for line in lines) and '"${perceptual[@]}")' in text, (
        "perceptual loss in every stage"
    )
    assert "--activation leaky_relu" in lines[0] and '"${imagenet[@]}"' in lines[0] and "--with-zgan 0" in text
    landmarks = [line for line in text.splitlines() if line.startswith("train train_aae_landmarks")]
    assert all('"${head[@]}"' in line for line in landmarks)
    head = next(line for line in text.splitlines() if line.startswith("head="))
    assert "--crop-source lm_ground_truth --use-adaptive-wing-loss 1 --normalize" in head and "--daug" not in head
    assert [line.split("--dataset ")[1].split()[0] for line in landmarks] == ["menpo2d", "menpo2d", "wlp300", "wlp300"]
