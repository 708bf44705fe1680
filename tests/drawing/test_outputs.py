"""Pictures and meshes of reconstructed faces, against closed forms."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import trimesh

from common.errors import DataError
from common.files.meshes import read_ply, write_mesh
from drawing.pose import box_corners, draw_pose
from drawing.surfaces import colour_depth, normal_map, over_photo, position_codes, read_depth, shaded, write_depth
from geometry.cameras import pinhole, weak_perspective
from geometry.rotations import rotation_from_euler
from morphable.meshes import coloured_mesh, in_frame, scene_colours, textured_mesh
from morphable.model import FaceModel, SurfacePoints
from morphable.scene import Scene, metric_screen
from morphable.texture import photo_colours, unwrap
from morphable.unroll import ANCHORS, anchors, pose_adaptive_feature, with_texture_coordinates

SIZE = (200, 240)


def face_model(columns: int = 41, rows: int = 51, **fields) -> FaceModel:
    """Half an ellipsoid with a nose ridge, symmetric, 1.4 × 1.8 × 0.7 dm, with a texture of its angles."""
    u, v = torch.meshgrid(torch.linspace(0, 1, columns), torch.linspace(0, 1, rows), indexing="xy")
    angle, height = (u - 0.5) * 0.94 * torch.pi, (v - 0.5) * 0.94 * torch.pi
    radius = 0.7 + 0.25 * torch.exp(-((angle / 0.15) ** 2) - (height / 0.3) ** 2)
    mean = torch.stack(
        [radius * angle.sin() * height.cos(), 0.9 * height.sin(), radius * angle.cos() * height.cos()], -1
    )
    mean = mean.reshape(-1, 3)
    corner = (torch.arange(rows - 1)[:, None] * columns + torch.arange(columns - 1)).flatten()
    lower = torch.stack([corner, corner + 1, corner + columns + 1], 1)
    triangles = torch.cat([lower, torch.stack([corner, corner + columns + 1, corner + columns], 1)])
    turn = torch.linspace(-1, 1, 17)
    jaw = torch.stack([0.66 * turn, -0.7 + 0.75 * turn**2], 1)
    brows = torch.stack([torch.linspace(-0.4, 0.4, 10), torch.full((10,), 0.4)], 1)
    places = torch.cat([jaw, brows, torch.zeros(41, 2)])
    ids = torch.cdist(places, mean[:, :2]).argmin(1)
    count = len(mean)
    generator = torch.Generator().manual_seed(0)
    defaults = {
        "name": "egg",
        "licence": "none",
        "mean": mean,
        "triangles": triangles,
        "identity": 0.02 * torch.randn(count, 3, 2, generator=generator),
        "expression": 0.02 * torch.randn(count, 3, 2, generator=generator),
        "albedo_mean": torch.full((count, 3), 0.5),
        "albedo": torch.zeros(count, 3, 0),
        "identity_std": torch.ones(2),
        "expression_std": torch.ones(2),
        "albedo_std": torch.zeros(0),
        "landmarks": {"ibug68": SurfacePoints.at_vertices(ids)},
        "uv": torch.stack([u, v], -1).reshape(-1, 2) * 0.96 + 0.02,
        "uv_triangles": triangles,
        "symmetry": torch.arange(count).view(rows, columns).flip(1).flatten(),
    }
    return FaceModel(**(defaults | fields))


def scene_of(
    model: FaceModel, angles_deg=((0, 0, 0),), scale=(90.0,), centre=((120.0, 100.0),), focal: float = 300.0
) -> Scene:
    rotation = rotation_from_euler(torch.deg2rad(torch.tensor(angles_deg, dtype=torch.float32)))
    scale = torch.tensor(scale)
    screen = weak_perspective(model.mean.expand(len(rotation), -1, -1), rotation, scale, torch.tensor(centre))
    return Scene(metric_screen(screen, scale, focal), model.mean @ rotation.mT, model.triangles, SIZE)


def perspective_scene(model: FaceModel, angles_deg, focal: float = 600.0, distance: float = 6.0) -> Scene:
    rotation = rotation_from_euler(torch.deg2rad(torch.tensor(angles_deg, dtype=torch.float32)))
    posed = model.mean @ rotation.mT
    screen = pinhole(posed, focal, (120.0, 100.0), distance)
    return Scene(screen, posed, model.triangles, SIZE, perspective=True)


def pixel_centres() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    return x.double(), y.double()


def plane(slope_x: float, slope_y: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A square of two triangles, z = slope_x·x + slope_y·y."""
    xy = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]], dtype=torch.float64)
    vertices = torch.cat([xy, (xy * torch.tensor([slope_x, slope_y])).sum(1, keepdim=True)], 1)[None]
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_depth_of_a_tilted_plane_before_a_pinhole():
    vertices, triangles = plane(0.6, -0.3)
    screen = pinhole(vertices, 500.0, (120.0, 100.0), 10.0)
    scene = Scene(screen, vertices, triangles, SIZE, perspective=True)
    x, y = pixel_centres()
    # d = 10 − z and z = 0.6 X − 0.3 Y with X = (x − 120) d / 500, Y = (100 − y) d / 500
    expected = 10 / (1 + 0.6 * (x - 120) / 500 - 0.3 * (100 - y) / 500) * 100
    torch.testing.assert_close(scene.depth_mm()[scene.mask], expected[scene.mask], rtol=1e-6, atol=0)
    assert scene.depth_mm()[~scene.mask].isnan().all() and 0.2 < scene.mask.double().mean() < 0.5


def test_depth_of_a_tilted_plane_in_weak_perspective():
    vertices, triangles = plane(0.6, -0.3)
    scale = torch.tensor([70.0])
    screen = weak_perspective(
        vertices, torch.eye(3).double()[None], scale.double(), torch.tensor([[120.0, 100]]).double()
    )
    scene = Scene(metric_screen(screen, scale, 700.0), vertices, triangles, SIZE)
    x, y = pixel_centres()
    expected = (10 - 0.6 * (x - 120) / 70 + 0.3 * (100 - y) / 70) * 100
    torch.testing.assert_close(scene.depth_mm()[scene.mask], expected[scene.mask], rtol=1e-6, atol=0)


def test_normals_of_a_tilted_plane():
    vertices, triangles = plane(0.6, -0.3)
    scene = Scene(pinhole(vertices, 500.0, (120.0, 100.0), 10.0), vertices, triangles, SIZE, perspective=True)
    normal = np.array([-0.6, 0.3, 1]) / np.linalg.norm([-0.6, 0.3, 1])
    picture = normal_map(scene)
    assert np.abs(picture[scene.mask.numpy()] - (normal + 1) / 2 * 255).max() <= 0.51
    assert not picture[~scene.mask.numpy()].any()


def test_depth_files_keep_a_twentieth_of_a_millimetre(tmp_path):
    depth = scene_of(face_model()).depth_mm()
    write_depth(tmp_path / "depth.png", depth)
    again = read_depth(tmp_path / "depth.png")
    assert torch.equal(again.isnan(), depth.isnan())
    assert (again - depth)[~depth.isnan()].abs().max() <= 0.0502
    with pytest.raises(DataError, match="no face in it"):
        write_depth(tmp_path / "empty.png", torch.full((4, 4), torch.nan))
    with pytest.raises(DataError, match="9000 mm deep"):
        write_depth(tmp_path / "deep.png", torch.tensor([[0.0, 9000.0]]))
    over = tmp_path / "other.png"
    over.write_bytes(b"x")
    with pytest.raises(DataError, match="other.png: not a depth map"):
        read_depth(over)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["depth.png", "other.png"]


def test_position_codes_of_the_mean():
    model = face_model()
    scene = scene_of(model)
    x, y = pixel_centres()
    z = 300 / 90 - scene.depth_mm().double() / 100
    low, high = model.mean.amin(0).double(), model.mean.amax(0).double()
    position = torch.stack([(x - 120) / 90, (100 - y) / 90, z], -1)
    expected = ((position - low) / (high - low) * 255)[scene.mask]
    assert (torch.from_numpy(position_codes(scene, model))[scene.mask] - expected).abs().max() < 0.6


def test_colours_of_depth():
    scene = scene_of(face_model(), ((0, 0, 0), (0, 0, 0)), (60.0, 90.0), ((60.0, 100.0), (170.0, 100.0)))
    depth, faces = scene.depth_mm(), scene.faces
    near, alone = colour_depth(depth), colour_depth(depth, faces)
    brightness = near.astype(int).sum(2)
    assert brightness[faces.numpy() == 1].min() > brightness[faces.numpy() == 0].max()
    assert not near[~scene.mask.numpy()].any() and not alone[~scene.mask.numpy()].any()
    for face in (0, 1):
        own = faces.numpy() == face
        nearest = np.unravel_index(np.where(own, depth.numpy(), np.inf).argmin(), own.shape)
        assert alone[nearest].tolist() == [252, 255, 164]  # the last colour of inferno


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_larger_of_two_overlapping_faces_lies_in_front(order):
    scales, centres = np.array([50.0, 80.0])[order], np.array([[110.0, 100], [130, 100]])[order]
    scene = scene_of(face_model(), ((0, 0, 0), (0, 0, 0)), scales.tolist(), centres.tolist())
    larger = order.index(1)
    assert scene.faces[100, 125] == larger
    assert (scene.faces == larger).sum() == scene_of(face_model(), scale=(80.0,), centre=((130.0, 100.0),)).mask.sum()


def painted(model: FaceModel, symmetric: bool = False) -> torch.Tensor:
    """(3, 256, 256) smooth random texture 0 … 255."""
    generator = torch.Generator().manual_seed(3)
    texture = (
        F.interpolate(torch.rand(1, 3, 12, 12, generator=generator), size=(256, 256), mode="bicubic").clamp(0, 1)[0]
        * 255
    )
    return (texture + texture.flip(2)) / 2 if symmetric else texture


def photograph(scene: Scene, model: FaceModel, texture: torch.Tensor, face: int = 0) -> np.ndarray:
    """The face with its texture on the scene's picture, on green; other faces grey."""
    uv = scene.draw(model.uv.double().float())
    grid = torch.stack([uv[..., 0], 1 - uv[..., 1]], -1) * 2 - 1
    colours = F.grid_sample(texture[None], grid[None], align_corners=False)[0].permute(1, 2, 0)
    colours[~scene.mask] = torch.tensor([0.0, 255, 0])
    colours[scene.mask & (scene.faces != face)] = 128
    return colours.round().byte().numpy()


def texture_error(found, texture: torch.Tensor, where: np.ndarray) -> np.ndarray:
    truth = texture.permute(1, 2, 0).numpy()
    return np.abs(found.picture[..., :3].astype(float) - truth).max(2)[where]


@pytest.mark.parametrize("make", [scene_of, perspective_scene])
@pytest.mark.parametrize("yaw", [0, 35])
def test_a_painted_texture_comes_back_from_the_photo(make, yaw):
    model = face_model()
    scene, texture = make(model, ((0, yaw, 0),)), painted(model)
    found = unwrap(photograph(scene, model, texture), scene, 0, model, size=256)
    error = texture_error(found, texture, found.visible)
    assert found.visible.mean() > 0.5
    # Texels are smaller than pixels toward the outline, where a pixel mixes several and the background.
    assert np.median(error) < 2 and np.quantile(error, 0.95) < 12
    assert (found.picture[found.visible, 3] == 255).all()
    column = found.visible.mean(0)
    if yaw:  # the side that turns away is hidden and transparent
        assert abs(column[20:60].mean() - column[-60:-20].mean()) > 0.5
        hidden = ~found.visible & (np.arange(256) > 12)[:, None] & (np.arange(256) < 244)[:, None]
        assert (found.picture[100:150][hidden[100:150]][:, 3] == 0).mean() > 0.9


def test_hidden_texels_come_from_the_other_side():
    model = face_model()
    texture = painted(model, symmetric=True)
    scene = scene_of(model, ((0, 50, 0),))
    photo = photograph(scene, model, texture)
    alone, both = (unwrap(photo, scene, 0, model, 256, how) for how in ("none", "symmetry"))
    np.testing.assert_array_equal(alone.visible, both.visible)
    filled = (both.picture[..., 3] == 255) & ~both.visible & (alone.picture[..., 3] == 0)
    filled[:, :8] = filled[:, -8:] = False  # the margin beyond the surface
    assert filled.mean() > 0.15
    assert np.quantile(texture_error(both, texture, filled), 0.9) < 15
    everything = unwrap(photo, scene, 0, model, 256, "all")
    assert (everything.picture[8:-8, 8:-8, 3] == 255).all()
    without = face_model(symmetry=None)
    np.testing.assert_array_equal(unwrap(photo, scene, 0, without, 256, "symmetry").picture, both.picture)


def test_a_face_in_front_hides_texels():
    model = face_model()
    texture = painted(model)
    scene = scene_of(model, ((0, 0, 0), (0, 0, 0)), (80.0, 95.0), ((110.0, 100.0), (190.0, 100.0)))
    found = unwrap(photograph(scene, model, texture), scene, 0, model, 256)
    single = scene_of(model, scale=(80.0,), centre=((110.0, 100.0),))
    alone = unwrap(photograph(single, model, texture), single, 0, model, 256)
    lost = alone.visible & ~found.visible
    assert 0.02 < lost.mean() < 0.4 and not (found.visible & ~alone.visible).any()
    seen = found.visible
    assert np.abs(found.picture[seen].astype(int) - alone.picture[seen]).max() <= 3  # 1 % of the grey face may mix in


def test_colours_of_vertices_come_from_the_photo():
    model = face_model()
    scene = scene_of(model, ((0, 30, 0),))
    x, y = pixel_centres()
    photo = torch.stack([x, y, torch.zeros_like(x)], -1).floor().byte().numpy()
    colours, seen = photo_colours(photo, scene, 0)
    torch.testing.assert_close(colours[seen, :2] * 255, scene.screen[0, seen, :2] - 0.5, rtol=0, atol=1e-3)
    assert (scene.facing[0][seen] > 0).all() and 0.4 < seen.float().mean() < 0.9
    assert torch.isfinite(colours).all() and scene_colours(photo, scene).shape == (1, len(model.mean), 3)


def test_meshes_in_their_frames(tmp_path):
    model = face_model()
    scene = scene_of(model, ((10, 30, 5),), (90.0,))
    shapes = model.mean[None]
    image = in_frame("image", shapes, scene)
    torch.testing.assert_close(image[..., 0], scene.screen[..., 0])
    torch.testing.assert_close(image[..., 1], SIZE[0] - scene.screen[..., 1])
    torch.testing.assert_close(image[..., 2], scene.posed[..., 2] * 90, rtol=1e-4, atol=1e-3)
    for frame in ("canonical", "posed", "image"):
        vertices = in_frame(frame, shapes, scene)[0].numpy()
        corners = vertices[model.triangles.numpy()]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward = np.einsum("fc,fc->f", normals, corners.mean(1) - (vertices.min(0) + vertices.max(0)) / 2)
        assert (outward > 0).mean() > 0.9
    mesh = coloured_mesh(image, model.triangles, None)
    write_mesh(tmp_path / "face.ply", mesh)
    np.testing.assert_allclose(read_ply(tmp_path / "face.ply").vertices, mesh.vertices, rtol=1e-6)
    with pytest.raises(ValueError, match="unknown frame"):
        in_frame("upside down", shapes)
    with pytest.raises(ValueError, match="needs a scene"):
        in_frame("image", shapes)


def test_a_textured_face_reopens_in_trimesh(tmp_path):
    model = face_model()
    scene = scene_of(model)
    texture = unwrap(photograph(scene, model, painted(model)), scene, 0, model, 128, "all")
    write_mesh(tmp_path / "face.glb", textured_mesh(model.mean, model, texture))
    mesh = trimesh.load(tmp_path / "face.glb", process=False, force="mesh")
    np.testing.assert_allclose(mesh.vertices, model.mean.numpy() * 0.1, atol=1e-6)
    np.testing.assert_allclose(mesh.visual.uv, model.uv.numpy(), atol=1e-6)
    np.testing.assert_array_equal(np.asarray(mesh.visual.material.baseColorTexture), texture.picture)


def test_texture_coordinates_of_a_cylinder():
    model = face_model(uv=None, uv_triangles=None)
    uv, triangles = with_texture_coordinates(model)
    assert 0 <= uv.amin() and uv.amax() <= 1 and triangles.max() < len(uv)
    corners = uv[triangles]
    area = torch.linalg.det(torch.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 1))
    front = model.mean[model.triangles][..., 2].amin(1) > 0.25
    assert front.float().mean() > 0.5 and (area[front] > 0).all()  # no folds
    # A closed tube is cut open at the back: its triangles there must not run across the whole texture.
    angle = torch.linspace(-torch.pi, torch.pi, 41)[:-1]
    ring = torch.stack([angle.sin(), torch.zeros(40), angle.cos()], 1)
    tube = torch.cat([ring - torch.tensor([0, 0.9, 0]), ring + torch.tensor([0, 0.9, 0])])
    i, j = torch.arange(40), (torch.arange(40) + 1) % 40
    mesh = torch.cat([torch.stack([i, j, j + 40], 1), torch.stack([i, j + 40, i + 40], 1)])
    points = SurfacePoints.at_vertices([30] * 68)
    flat = {k: torch.zeros(80, 3, 2) for k in ("identity", "expression")} | {"albedo": torch.zeros(80, 3, 0)}
    closed = face_model(
        mean=tube * 0.5,
        triangles=mesh,
        albedo_mean=torch.zeros(80, 3),
        landmarks={"ibug68": points},
        symmetry=None,
        uv=None,
        uv_triangles=None,
        **flat,
    )
    uv, triangles = with_texture_coordinates(closed)
    widths = uv[triangles][..., 0].amax(1) - uv[triangles][..., 0].amin(1)
    assert widths.max() < 0.06


def test_the_pose_adaptive_feature_follows_identity_and_expression():
    model = face_model()
    points = anchors(model)
    identity, expression = torch.tensor([[1.5, -1]]), torch.tensor([[-1.0, 2]])
    shape = model.shape(identity, expression)
    screen = weak_perspective(shape, torch.eye(3)[None], torch.tensor([90.0]), torch.tensor([[120.0, 100.0]]))[0]
    photo = np.stack([*np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), np.zeros(SIZE)], -1).astype(np.uint8)
    feature = pose_adaptive_feature(photo, screen, points)
    assert feature.shape == (3 * ANCHORS, 3 * ANCHORS, 3)
    middle = feature[1::3, 1::3, :2].reshape(-1, 2)
    np.testing.assert_array_equal(middle, points.of(screen)[:, :2].floor().numpy())
    np.testing.assert_array_equal(
        feature[0::3, 2::3, :2].reshape(-1, 2) - middle.astype(int), np.tile([1, -1], (4096, 1))
    )
    neutral = weak_perspective(
        model.shape(identity), torch.eye(3)[None], torch.tensor([90.0]), torch.tensor([[120.0, 100.0]])
    )[0]
    moved = (points.of(screen) - points.of(neutral))[:, :2]
    basis = points.of(model.expression.flatten(1)).view(-1, 3, 2)[:, :2] @ expression[0] * 90 * torch.tensor([1, -1])
    torch.testing.assert_close(moved, basis, rtol=1e-3, atol=1e-3)
    grid = points.of(model.mean).view(ANCHORS, ANCHORS, 3)
    assert (grid[:, 1:, 0] >= grid[:, :-1, 0] - 1e-6).float().mean() > 0.95 and (
        grid[1:, :, 1] < grid[:-1, :, 1] + 1e-6
    ).all()
    with pytest.raises(ValueError, match="kernel"):
        pose_adaptive_feature(photo, screen, points, kernel=4)


def test_the_pose_box_opens_where_the_head_looks():
    landmarks = np.random.default_rng(0).uniform(50, 150, (68, 2))
    landmarks[0], landmarks[1] = (40, 60), (160, 140)
    corners = box_corners(np.eye(3), landmarks)
    half = np.sqrt(2) * 120 / 3
    centre = landmarks[:27].mean(0)
    np.testing.assert_allclose(corners[:4] - centre, half * np.array([[-1, 1], [-1, -1], [1, -1], [1, 1]]))
    np.testing.assert_allclose(corners[4:] - centre, (corners[:4] - centre) * 4 / 3)
    turned = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # looks to the right of the picture
    corners = box_corners(turned, landmarks)
    np.testing.assert_allclose(corners[4:].mean(0) - corners[:4].mean(0), [half * 4 / 3, 0], atol=1e-9)
    photo = np.zeros((200, 200, 3), np.uint8)
    picture = draw_pose(photo, np.eye(3)[None], landmarks[None], np.array([[1.0, 2.0, 3.0]]))
    assert picture.any() and not photo.any()
    x, y = (centre + (30, 0)).astype(int)
    assert picture[y, x, 0] > 200 and picture[y, x, 1] < 100  # the red axis points to the right


def test_pictures_over_the_photo():
    model = face_model()
    scene = scene_of(model)
    photo = np.full((*SIZE, 3), 200, np.uint8)
    picture = shaded(scene)
    mixed = over_photo(photo, picture, scene.mask, 0.25)
    inside = scene.mask.numpy()
    assert (mixed[~inside] == 200).all()
    np.testing.assert_allclose(mixed[inside], 200 * 0.75 + picture[inside] * 0.25, atol=0.5)
    red = shaded(scene, torch.tensor([1.0, 0, 0]).expand(1, len(model.mean), 3))
    assert red[..., 0].any() and not red[..., 1:].any()
    with pytest.raises(DataError, match="must be the same"):
        over_photo(photo[:-1], picture, scene.mask)


def test_unusable_scenes_and_photos_are_refused():
    model = face_model()
    scene = scene_of(model)
    photo = np.zeros((*SIZE, 3), np.uint8)
    with pytest.raises(ValueError, match="the photo has 240 × 199 px, the scene 240 × 200"):
        unwrap(photo[1:], scene, 0, model)
    with pytest.raises(ValueError, match="complete is 'magic'"):
        unwrap(photo, scene, 0, model, complete="magic")
    with pytest.raises(ValueError, match="no texel of its texture is visible"):
        unwrap(photo, scene_of(model, ((0, 0, 0), (0, 0, 0)), (30.0, 95.0), ((120.0, 100.0), (120.0, 100.0))), 0, model)
    with pytest.raises(ValueError, match="at least one face"):
        Scene(scene.screen[:0], scene.posed[:0], model.triangles, SIZE)
    with pytest.raises(ValueError, match="posed vertices"):
        Scene(scene.screen, scene.posed[:, :5], model.triangles, SIZE)
    with pytest.raises(ValueError, match="must be positive"):
        metric_screen(scene.screen, torch.tensor([0.0]), 300.0)
