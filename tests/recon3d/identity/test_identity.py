"""The small identity network: margin, data of known people, training that verifies, and its place in the perceptual
term.
"""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from common.checkpoint import read_tensors
from common.errors import CheckpointError, DataError
from networks.face_embedding import FaceEmbedding, FaceEmbeddingConfig
from recon3d.identity.data import pack_people, person_and_video, split_people
from recon3d.identity.features import TEMPLATE_112, load_identity
from recon3d.identity.method import margin_softmax
from recon3d.identity.training import main

PEOPLE = 8


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Eight people of one colour each: two videos of two frames, marks at the five landmarks, in youtube_faces'
    layout.
    """
    root = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    template = np.array(TEMPLATE_112)
    for part, digits in (("training", "0"), ("test", "1")):
        (root / part).mkdir()
        rows = ["image," + ",".join(f"{axis}{k}" for k in range(68) for axis in "xy")]
        for person in range(PEOPLE):
            colour = np.array([person % 2, person // 2 % 2, person // 4], float) * 120 + 60
            for video in range(2):
                name = f"Person_{chr(65 + person)}_{video}{digits}.png"
                scale, shift = random.uniform(0.8, 1.4), random.uniform(10, 30, 2)
                five = template * scale + shift
                picture = np.full((200, 200, 3), 20.0)
                picture[40:160, 40:160] = colour + random.normal(0, 8, 3)
                for x, y in five:
                    picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
                Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(root / part / name)
                points = np.full((68, 2), 60.0)
                points[[36, 39]], points[[42, 45]], points[[30, 48, 54]] = five[0], five[1], five[2:]
                rows.append(name + "," + ",".join(f"{v:.4f}" for v in (points - 0.5).ravel()))
        (root / f"{part}_keypoints.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def place(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "x.ini").write_text(f"[Paths]\nyoutube_faces = {frames}\ndata = {folder}/data\noutputs = {folder}/out\n")
    return folder


def run(place, *arguments: str) -> int:
    return main(["--config", str(place / "x.ini"), "--verification-share", "0.5", "-vb", "8", *arguments])


def test_margins_are_those_of_the_papers():
    cosines = (torch.rand(5, 4, dtype=torch.float64) * 1.8 - 0.9).requires_grad_()
    people = torch.tensor([0, 3, 1, 2, 2])
    own = cosines.gather(1, people[:, None])[:, 0]
    for angle, cosine in ((0.0, 0.0), (0.0, 0.35), (0.5, 0.0), (0.3, 0.2)):
        inside = torch.acos(own) + angle < math.pi
        moved = torch.where(inside, torch.cos(torch.acos(own) + angle), own - math.sin(angle) * angle) - cosine
        logits = 30 * cosines.scatter(1, people[:, None], moved[:, None])
        assert torch.allclose(
            margin_softmax(cosines, people, angle, cosine, 30.0), torch.nn.functional.cross_entropy(logits, people)
        )
    torch.autograd.gradcheck(lambda c: margin_softmax(c, people, 0.3, 0.1, 5.0), cosines)


def test_crops_lie_on_the_template_and_people_are_split(frames, tmp_path):
    packed = pack_people(frames, tmp_path)
    assert len(packed) == PEOPLE * 4 and packed.resolution == 159
    five = packed.landmarks[:, [30, 48, 54]] - (159 - 112) // 2
    assert np.abs(five - np.array(TEMPLATE_112)[2:]).max() < 1e-2
    known, unknown = split_people(packed, 0.5, 0)
    assert len(known) == 4 and len(unknown) == 4 and not set(known) & set(unknown)
    assert split_people(packed, 0.5, 0) == (known, unknown)
    assert person_and_video("test/Abdel_Aziz_Al-Hakim_41.jpg") == ("Abdel_Aziz_Al-Hakim", 4)
    with pytest.raises(DataError, match="<person>_<video><frame>"):
        person_and_video("photo.jpg")
    with pytest.raises(DataError, match="leaves 0 of 8 people"):
        split_people(packed, 0.0, 0)


def test_training_verifies_bundles_and_resumes(place, capsys):
    small = ["-b", "8", "--width", "16", "--blocks", "1", "--eval-freq", "1", "--save-freq", "1", "--keep", "0"]
    small += ["--schedule", "constant", "--warmup", "0"]
    assert run(place, *small, "--sessionname", "a", "-e", "2") == 0
    rows = (place / "out/logs/a/scalars.csv").read_text()
    assert ",val,auc," in rows and ",val,tar_at_far1," in rows
    assert run(place, *small, "--sessionname", "b", "-e", "1") == 0
    assert run(place, *small, "-r", "b", "-e", "2") == 0
    whole, resumed = (
        read_tensors(place / f"data/models/snapshots/{name}/00002/model.safetensors") for name in ("a", "b")
    )
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert run(place, "-r", "a", "--bundle", str(place / "bundled")) == 0
    assert not any(key.startswith("classifier") for key in read_tensors(place / "bundled/model.safetensors"))
    features = load_identity("small", place / "bundled")
    assert features.network.config.width == 16
    assert run(place, "--width", "8") == 2 and "no multiple of 16" in capsys.readouterr().err
    assert run(place, "--eval") == 2 and "name the network with --resume" in capsys.readouterr().err
    assert run(place, "-r", "nothing") == 2 and "no model 'nothing'" in capsys.readouterr().err


def test_missing_data_say_where_they_come_from(tmp_path, capsys):
    (tmp_path / "x.ini").write_text(f"[Paths]\ndata = {tmp_path}/data\n")
    assert main(["--config", str(tmp_path / "x.ini")]) == 2
    error = capsys.readouterr().err
    assert "YouTube Faces keypoints not found" in error and "github.com" in error and "Traceback" not in error


def test_a_batch_can_be_learnt_and_every_parameter_has_a_gradient():
    network = FaceEmbedding(FaceEmbeddingConfig(width=16, blocks=1, hidden=32, outputs=16))
    images, people = torch.randn(6, 3, 112, 112), torch.arange(6) % 3
    directions = torch.nn.functional.normalize(torch.randn(3, 16))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(15):
        optimizer.zero_grad()
        loss = margin_softmax(torch.nn.functional.normalize(network(images)) @ directions.T, people)
        loss.backward()
        optimizer.step()
    assert loss < 0.5 and all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_published_networks_need_weights():
    with pytest.raises(CheckpointError, match="this code has no weights of it"):
        load_identity("arcface")
    with pytest.raises(ValueError, match="unknown identity network"):
        load_identity("dlib")
