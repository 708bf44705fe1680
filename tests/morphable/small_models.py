"""Small files of each published format, written from a random smooth face so that every number can be compared."""

import json
import pickle
import sys
import types

import numpy as np
from scipy.io import savemat

COLUMNS, ROWS = 12, 10
COUNT = COLUMNS * ROWS


class Ch:
    """Stands for chumpy.ch.Ch, which is how FLAME files wrap their arrays."""

    def __init__(self, x):
        self.x = x


def bump(scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(120, 3) vertices of a bulging sheet that faces +z, and its (198, 3) triangles, counter-clockwise from the
    front.
    """
    x, y = np.meshgrid(np.linspace(-0.8, 0.8, COLUMNS), np.linspace(-1, 1, ROWS))
    vertices = np.stack([x, y, 0.6 - 0.3 * x**2 - 0.2 * y**2], axis=2).reshape(-1, 3) * scale
    corner = (np.arange(ROWS - 1)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).reshape(-1)
    lower = np.stack([corner, corner + 1, corner + COLUMNS + 1], axis=1)
    return vertices, np.concatenate([lower, np.stack([corner, corner + COLUMNS + 1, corner + COLUMNS], axis=1)])


def landmark_ids(count: int = COUNT) -> np.ndarray:
    """68 different vertices."""
    return np.random.default_rng(1).permutation(count)[:68]


def modes(count: int, number: int, seed: int = 0) -> np.ndarray:
    """(3·count, number) random."""
    return np.random.default_rng(seed).standard_normal((3 * count, number))


def front_fields() -> dict:
    """Fields of BFM_model_front.mat with 5 identity, 3 expression and 4 albedo modes, in the file's shapes and
    types.
    """
    vertices, triangles = bump()
    face = np.arange(COLUMNS, COUNT)
    return {
        "meanshape": (vertices + (0.1, 0.2, 0.3)).reshape(1, -1),
        "idBase": modes(COUNT, 5),
        "exBase": modes(COUNT, 3, 1),
        "meantex": np.random.default_rng(2).uniform(0, 255, (1, 3 * COUNT)),
        "texBase": modes(COUNT, 4, 3) * 10,
        "tri": (triangles + 1).astype(np.float32),
        "point_buf": np.ones((COUNT, 8)),
        "tri_mask2": triangles[:2] + 1,
        "frontmask2_idx": (face + 1).reshape(-1, 1),
        "skinmask": (np.arange(COUNT) % 2).reshape(1, -1),
        "keypoints": (landmark_ids() + 1).reshape(1, -1),
    }


def write_bfm_originals(folder, vertices: int = 150, expression_vertices: int = 140) -> dict:
    """01_MorphableModel.mat, Exp_Pca.bin and their companions; returns the raw arrays."""
    rng = np.random.default_rng(5)
    raw = {
        "shapeMU": rng.normal(0, 5e4, (3 * vertices, 1)).astype(np.float32),
        "shapePC": rng.standard_normal((3 * vertices, 90)).astype(np.float32),
        "shapeEV": rng.uniform(1e3, 5e5, (90, 1)).astype(np.float32),
        "texMU": rng.uniform(0, 255, (3 * vertices, 1)).astype(np.float32),
        "texPC": rng.standard_normal((3 * vertices, 90)).astype(np.float32),
        "texEV": rng.uniform(1, 50, (90, 1)).astype(np.float32),
        "tl": np.ones((4, 3)),
    }
    savemat(folder / "01_MorphableModel.mat", raw)
    expressions = rng.standard_normal((70, 3 * expression_vertices)).astype("<f4")
    spread = np.round(rng.uniform(1e2, 1e5, 70), 2)
    mean = np.zeros((1, 3 * expression_vertices), "<f4")
    (folder / "Exp_Pca.bin").write_bytes(np.int32(70).tobytes() + np.concatenate([mean, expressions]).tobytes())
    (folder / "std_exp.txt").write_text(" ".join(map(str, spread)))
    trim = np.sort(rng.permutation(vertices)[:expression_vertices])
    index = np.sort(rng.permutation(expression_vertices)[:COUNT])
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (trim + 1).reshape(-1, 1).astype(np.uint16)})
    savemat(folder / "BFM_front_idx.mat", {"idx": (index + 1).reshape(-1, 1).astype(np.float32)})
    info = front_fields()
    savemat(folder / "facemodel_info.mat", {k: info[k] for k in ("tri", "keypoints", "frontmask2_idx", "skinmask")})
    return raw | {"expressions": expressions, "spread": spread, "trim": trim, "index": index}


def whitening() -> np.ndarray:
    """(62,) positive spreads."""
    return np.random.default_rng(7).uniform(0.5, 2, 62).astype(np.float32)


def write_3ddfa(folder, seed: int = 0) -> dict:
    """3DDFA V1's arrays with tri.mat, and V2's indices.npy and tri.pkl for a part that leaves out the first row of
    vertices.
    """
    vertices, triangles = bump(1e5)
    arrays = {
        "u_shp": vertices.reshape(-1, 1).astype(np.float32),
        "u_exp": (modes(COUNT, 1, 9) * 100).astype(np.float32),
        "w_shp_sim": modes(COUNT, 40).astype(np.float32),
        "w_exp_sim": modes(COUNT, 10, 1).astype(np.float32),
        "keypoints_sim": (3 * (COLUMNS + landmark_ids(COUNT - COLUMNS))[:, None] + np.arange(3)).reshape(-1),
        "indices": np.arange(COLUMNS, COUNT, dtype=np.int32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    savemat(folder / "tri.mat", {"tri": (triangles.T + 1).astype(np.uint16)})
    savemat(folder / "BFM_UV.mat", {"UV": np.random.default_rng(3).uniform(0, 1, (COUNT, 2))})
    kept = triangles[(triangles >= COLUMNS).all(1)] - COLUMNS
    (folder / "tri.pkl").write_bytes(pickle.dumps(kept.T.astype(np.int32), protocol=4))
    content = {"param_mean": np.zeros(62, np.float32), "param_std": whitening()}
    (folder / "param_whitening.pkl").write_bytes(pickle.dumps(content, protocol=3))
    return arrays


def write_3ddfa_v2(folder) -> dict:
    """bfm_noneck_v3.pkl with more modes than are used and stale triangles, its tri.pkl and whitening."""
    vertices, triangles = bump(1e5)
    fields = {
        "u": vertices.reshape(-1, 1).astype(np.float32),
        "w_shp": modes(COUNT, 50).astype(np.float32),
        "w_exp": modes(COUNT, 12, 1).astype(np.float32),
        "keypoints": (3 * landmark_ids()[:, None] + np.arange(3)).reshape(-1),
        "tri": np.full((3, 4), 46851),
    }
    (folder / "bfm_noneck_v3.pkl").write_bytes(pickle.dumps(fields, protocol=4))
    (folder / "tri.pkl").write_bytes(pickle.dumps(triangles.T.astype(np.int32)))
    content = {"mean": np.zeros(62, np.float32), "std": whitening()}
    (folder / "param_mean_std_62d_120x120.pkl").write_bytes(pickle.dumps(content, protocol=3))
    return fields


def flame_fields() -> dict:
    """v_template, shapedirs (310 modes) and f of a FLAME file."""
    vertices, triangles = bump(0.1)
    return {
        "v_template": vertices,
        "shapedirs": modes(COUNT, 310).reshape(COUNT, 3, 310) * 1e-3,
        "f": triangles.astype(np.uint32),
    }


def write_flame(path, fields: dict) -> None:
    """A pickle like FLAME's generic_model.pkl: chumpy arrays and a scipy.sparse matrix beside plain arrays."""
    from scipy.sparse import csc_matrix

    chumpy, ch = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    Ch.__module__, chumpy.ch, ch.Ch = "chumpy.ch", ch, Ch
    sys.modules |= {"chumpy": chumpy, "chumpy.ch": ch}
    try:
        wrapped = {k: Ch(v) if k != "f" else v for k, v in fields.items()}
        content = wrapped | {"J_regressor": csc_matrix(np.eye(5)), "bs_type": "lrotmin"}
        path.write_bytes(pickle.dumps(content, protocol=2))
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def write_embedding(path) -> dict:
    """landmark_embedding.npy: a dictionary inside an array of objects, as DECA ships it."""
    rng = np.random.default_rng(4)
    weights = rng.dirichlet((1, 1, 1), 68)
    content = {"full_lmk_faces_idx": rng.integers(0, 198, (1, 68)), "full_lmk_bary_coords": weights[None]}
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return content


EXPRESSIONS = ["browDown_L", "jawOpen"]


def write_ict_index(folder, landmarks: np.ndarray) -> None:
    """vertex_indices.json."""
    content = {"expressions": [*EXPRESSIONS, "notThere"], "idx_to_landmark_verts": landmarks.tolist()}
    (folder / "vertex_indices.json").write_text(json.dumps(content))


def write_ict(folder) -> dict:
    """The same model as ict_light.npz and as a folder FaceXModel/ of OBJ files, with quads and one triangle."""
    vertices, _ = bump(10.0)
    vertices = vertices.round(5)
    corner = (np.arange(ROWS - 1)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).reshape(-1)
    quads = np.stack([corner, corner + 1, corner + COLUMNS + 1, corner + COLUMNS], axis=1)
    quads[0, 3] = -1
    uv = np.random.default_rng(6).uniform(0, 1, (COUNT + 5, 2)).round(6)
    fields = {
        "neutral": vertices.astype(np.float32),
        "identity": (modes(COUNT, 3).T.reshape(3, COUNT, 3) * 0.1).round(5),
        "expression": (modes(COUNT, 3, 1).T.reshape(3, COUNT, 3) * 0.1).round(5),
        "expression_names": np.array(["PupilDilate_L", *EXPRESSIONS]),
        "faces": quads.astype(np.int32),
        "uv": uv.astype(np.float32),
        "uv_faces": np.where(quads < 0, -1, quads + 5).astype(np.int32),
    }
    np.savez(folder / "ict_light.npz", **fields)
    write_ict_index(folder, landmark_ids())
    models = folder / "repository" / "FaceXModel"
    models.mkdir(parents=True)
    write_ict_index(models, landmark_ids())
    shapes = {"generic_neutral_mesh": 0} | {f"identity{i:03d}": fields["identity"][i] for i in range(3)}
    shapes |= {name: fields["expression"][i] for i, name in enumerate(fields["expression_names"])}
    faces = "".join("f " + " ".join(f"{v + 1}/{v + 6}" for v in quad if v >= 0) + "\n" for quad in quads)
    for name, delta in shapes.items():
        lines = "".join(f"v {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in vertices + delta)
        (models / f"{name}.obj").write_text("# ICT\n" + lines + "".join(f"vt {u:.6f} {v:.6f}\n" for u, v in uv) + faces)
    return fields
