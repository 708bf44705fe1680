"""The warper: FaceWarper's pixels, the identity, translations, coverage, visibility, two implementations."""

import cv2
import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datasets.synthetic.depth import rotations
from depthnet.warping.warper import composite, warp_faces
from geometry.face_template import OUTLINE_68, TEMPLATE_66, TRIANGLES_68, to_68

IDENTITY = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])
NAMES = ("000001_crop", "000002_crop", "000005_crop", "000014_crop", "000027_crop")


def picture(height=120, width=100):
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(1, 256, (height, width, 3), np.uint8), (0, 0), 2)


def face(yaw=0.0):
    """Keypoints and depths (68) in a 100 × 120 picture."""
    turned = TEMPLATE_66 @ rotations(np.array([yaw]), np.zeros(1), np.zeros(1))[0].T
    points = to_68(turned) * 35 + np.array([50, 50, 0])
    return points[:, :2], points[:, 2]


def render(affine, mode="visible", yaw=0.0, **more):
    points, depth = face(yaw)
    return warp_faces(picture()[None], points[None], depth[None], np.asarray(affine)[None], mode, **more)[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("impl", ["compiled", "reference"])
def test_pixels_are_those_of_facewarper(shared_data, name, impl):
    root = shared_data / "facewarper/dataset_example"
    image = np.array(Image.open(root / f"source/{name}.png").convert("RGB"))
    expected = np.array(Image.open(root / f"expected_result/{name}.png"))
    points, depth, affine = (np.loadtxt(root / f"{part}/{name}.txt") for part in ("keypoints", "depth", "affine"))
    ours = warp_faces(image[None], points[None], depth[None], affine[None], "compat", impl=impl)[0]
    assert ours.shape == expected.shape and (ours[..., 3] == 255).all() and (expected[..., 3] == 255).all()
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1
    covered = warp_faces(image[None], points[None], depth[None], affine[None], "visible", impl=impl)[0][..., 3] > 0
    np.testing.assert_array_equal((expected[..., :3] > 0).any(axis=2) & ~covered, False)


@pytest.mark.parametrize("mode", ["compat", "visible"])
def test_identity_copies_the_face_and_nothing_else(mode):
    ours, image = render(IDENTITY, mode), picture()
    covered = render(IDENTITY)[..., 3] > 0
    np.testing.assert_array_equal(ours[covered][:, :3], image[covered])
    assert (ours[~covered][:, :3] == 0).all() and (ours[..., 3] == 255).all() == (mode == "compat")
    outline = np.round((face()[0][OUTLINE_68] - 0.5) * 256).astype(np.int32)
    filled = cv2.fillPoly(np.zeros((120, 100), np.uint8), [outline], 1, shift=8).astype(bool)
    border = (
        cv2.dilate(cv2.polylines(np.zeros((120, 100), np.uint8), [outline], True, 1, 1, shift=8), np.ones((3, 3))) > 0
    )
    assert (covered == filled)[~border].all() and covered.sum() > 3000


def test_whole_pixels_of_translation_move_the_picture():
    ours = render([[1.0, 0, 0, 7], [0, 1, 0, -5]], "compat")
    still = render(IDENTITY, "compat")
    np.testing.assert_array_equal(ours[:-5, 7:], still[5:, :-7])


@pytest.mark.parametrize("yaw", [-50, -30, 30, 50])
@pytest.mark.parametrize("mode", ["compat", "visible"])
def test_implementations_agree(yaw, mode):
    affine = np.column_stack([rotations(np.array([yaw]), np.zeros(1), np.zeros(1))[0][:2], [50, 10]])
    fast, slow = render(affine, mode), render(affine, mode, impl="reference")
    assert (np.abs(fast.astype(int) - slow.astype(int)).max(axis=2) > 1).sum() <= 2  # centres on an edge, to rounding


def true_ids(points, rotation):
    """Triangle ids of a z-buffer over the turned template, from its real depths."""
    turned = points @ rotation.T
    image = np.full((120, 100), -1)
    nearest = np.full((120, 100), np.inf)
    y, x = np.mgrid[:120, :100] + 0.5
    for f, corners in enumerate(TRIANGLES_68):
        (a, b, c), z = turned[corners][:, :2] + [50, 50], turned[corners][:, 2]
        system = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]])
        weights = np.einsum("ij,jhw->ihw", np.linalg.inv(system), np.stack([x, y, np.ones_like(x)]))
        depth = np.einsum("i,ihw->hw", z, weights)
        shown = (weights >= 0).all(axis=0) & (depth < nearest)
        image[shown], nearest[shown] = f, depth[shown]
    return image


@pytest.mark.parametrize("yaw", [-60, 60])
def test_visible_shows_the_nearest_triangle_whatever_the_gauge(yaw):
    points = to_68(TEMPLATE_66) * 35
    rotation = rotations(np.array([yaw]), np.zeros(1), np.zeros(1))[0]
    truth = true_ids(points, rotation)
    # every triangle of its own colour: the source picture is painted with ids
    sheet = np.zeros((120, 100, 3), np.uint8)
    for f, corners in enumerate(TRIANGLES_68):
        cv2.fillConvexPoly(sheet, np.round((points[corners, :2] + 49.5) * 256).astype(np.int32), (f + 1, 0, 0), shift=8)
    affine = np.column_stack([rotation[:2], np.array([50, 50]) - rotation[:2, :2] @ [50, 50]])
    gauge = 2.0 * points[:, 2] + 0.3 * points[:, 0] - 0.2 * points[:, 1] + 4
    undo = affine.copy()  # the same picture from a depth of another gauge: z = (g − 0.3 x + 0.2 y − 4) / 2
    undo[:, 2] /= 2
    undo[:, 0] -= 0.3 * undo[:, 2]
    undo[:, 1] += 0.2 * undo[:, 2]
    undo[:, 3] -= (4 - 0.3 * 50 + 0.2 * 50) * undo[:, 2]
    errors = {}
    for name, mode, depth, matrix in (
        ("visible", "visible", points[:, 2], affine),
        ("other gauge", "visible", gauge, undo),
        ("list order", "compat", points[:, 2], affine),
    ):
        ours = warp_faces(sheet[None], points[None, :, :2] + 50, depth[None], matrix[None], mode)[0]
        inside = (truth >= 0) & (ours[..., 0] > 0)
        errors[name] = (np.abs(ours[..., 0][inside].astype(int) - 1 - truth[inside]) > 0).mean()
    blur = 0.35  # bilinear samples mix ids along edges of the painted triangles
    assert abs(errors["visible"] - errors["other gauge"]) < 0.01 and errors["visible"] < blur
    if yaw == -60:
        assert errors["visible"] < errors["list order"] - 0.02


def test_composite_uses_coverage():
    background = np.full((120, 100, 3), 200, np.uint8)
    rendered = render(IDENTITY)
    rendered[..., :3][rendered[..., 3] > 0] = 0  # a black face
    ours = composite(rendered[None], background)[0]
    assert (ours[rendered[..., 3] > 0] == 0).all() and (ours[rendered[..., 3] == 0] == 200).all()
    with pytest.raises(DataError, match="does not fit"):
        composite(rendered[None], background[:50])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"keypoints": np.zeros((1, 66, 2))}, "keypoints of shape"),
        ({"depth": np.full((1, 68), np.nan)}, "not finite"),
        ({"mode": "best"}, "unknown --mode"),
        ({"images": np.zeros((1, 9, 9))}, "pictures of shape"),
    ],
)
def test_bad_input_gets_one_sentence(change, says):
    points, depth = face()
    arguments = {"images": picture()[None], "keypoints": points[None], "depth": depth[None], "affines": IDENTITY[None]}
    with pytest.raises(DataError, match=says):
        warp_faces(**(arguments | change))
