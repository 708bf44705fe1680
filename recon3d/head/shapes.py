"""The shape half of the embedded head: mesh, random people, their principal components, the 52 expression units."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from recon3d.head.makehuman import HELPER_MESHES, BaseMesh, Targets, read_target

NECK_HEIGHT = 5.4  # dm in the base mesh: where the shoulders begin
SKULL_HEIGHT = 6.3  # dm; the vertices above the chin place the heads on each other
RACES, AGES, LEVELS = ("african", "asian", "caucasian"), ("child", "young", "old"), ("min", "average", "max")
LOCAL_FOLDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "cheek", "chin", "ears", "neck", "asym")
SKIPPED = ("head/head-trans", "neck/neck-trans", "neck/neck-scale", "breast", "trunk", "shape-pointed", "head-angle")
# Spread of a slider whose ends are MakeHuman's extremes (±1); by eye: 0.4 gives caricatures.
SLIDER_STD, ASYMMETRY_STD = 0.22, 0.05


@dataclass(frozen=True)
class HeadMesh:
    """Topology of the head: a sparse linear map from base vertices, so that offsets travel through the same map."""

    refine: sparse.csr_matrix  # (N, base vertices kept)
    kept: np.ndarray  # ids of the base vertices that refine reads
    triangles: np.ndarray  # (F, 3)
    uv: np.ndarray  # (U, 2)
    uv_triangles: np.ndarray  # (F, 3)
    part: np.ndarray  # (N,) name of the group each vertex comes from
    source: np.ndarray  # (N,) base vertex id, −1 for vertices made by subdivision


def head_mesh(base: BaseMesh) -> HeadMesh:
    """Cut the head off the body; eyes are subdivided once so that they are round and the iris has an edge."""
    body = base.quads["body"]
    head = base.vertices[body][:, :, 1].min(1) > NECK_HEIGHT
    groups = [("body", body[head], base.uv_quads["body"][head])]
    groups += [(name, base.quads[name], base.uv_quads[name]) for name in HELPER_MESHES]
    kept = np.unique(np.concatenate([quads.ravel() for _, quads, _ in groups]))
    new_id = np.full(len(base.vertices), -1)
    new_id[kept] = np.arange(len(kept))
    rows, parts, sources, triangles, uvs, uv_triangles = [], [], [], [], [], []
    offset = uv_offset = 0
    for name, quads, uv_quads in groups:
        ids, local = np.unique(quads, return_inverse=True)
        uv_ids, uv_local = np.unique(uv_quads, return_inverse=True)
        matrix = sparse.csr_matrix((np.ones(len(ids)), (np.arange(len(ids)), new_id[ids])), (len(ids), len(kept)))
        local, uv_local, uv = local.reshape(quads.shape), uv_local.reshape(quads.shape), base.uv[uv_ids]
        source = ids
        if name.endswith("eye"):
            subdivision, local = catmull_clark(local, len(ids))
            uv_matrix, uv_local = midpoint_subdivision(uv_local, len(uv))
            matrix, uv = subdivision @ matrix, uv_matrix @ uv
            source = np.concatenate([ids, np.full(subdivision.shape[0] - len(ids), -1)])
        rows.append(matrix)
        parts += [name] * matrix.shape[0]
        sources.append(source)
        triangles.append(split_quads(local) + offset)
        uv_triangles.append(split_quads(uv_local) + uv_offset)
        uvs.append(uv)
        offset, uv_offset = offset + matrix.shape[0], uv_offset + len(uv)
    joined = [np.concatenate(x) for x in (triangles, uvs, uv_triangles, sources)]
    return HeadMesh(sparse.vstack(rows).tocsr(), kept, joined[0], joined[1], joined[2], np.array(parts), joined[3])


def split_quads(quads: np.ndarray) -> np.ndarray:
    """(Q, 4) → (2Q, 3) triangles of the same orientation."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def midpoint_subdivision(quads: np.ndarray, count: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Split each quad into four at edge and face midpoints: (count + E + Q, count) map and (4Q, 4) quads."""
    edges = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1), -1).reshape(-1, 2)
    unique, edge_of = np.unique(edges, axis=0, return_inverse=True)
    edge_of = edge_of.reshape(quads.shape) + count
    face = np.arange(len(quads)) + count + len(unique)
    rows = [np.arange(count), np.repeat(np.arange(len(unique)), 2) + count, np.repeat(face, 4)]
    columns = [np.arange(count), unique.ravel(), quads.ravel()]
    weights = [np.ones(count), np.full(2 * len(unique), 0.5), np.full(quads.size, 0.25)]
    shape = (count + len(unique) + len(quads), count)
    matrix = sparse.csr_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape)
    before = np.roll(edge_of, 1, 1)
    return matrix, np.stack([quads, edge_of, np.broadcast_to(face[:, None], quads.shape), before], -1).reshape(-1, 4)


def catmull_clark(quads: np.ndarray, count: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """One step of Catmull and Clark 1978 on a closed quad mesh, as `midpoint_subdivision` with smoothed positions."""
    linear, fine = midpoint_subdivision(quads, count)
    num_edges = linear.shape[0] - count - len(quads)
    faces = linear[count + num_edges :]
    # an edge point is the mean of its ends and its two faces' points
    corner_edges = fine.reshape(-1, 4, 4)[:, :, 1] - count
    pairs = (np.ones(quads.size), (corner_edges.ravel(), np.repeat(np.arange(len(quads)), 4)))
    incidence = sparse.csr_matrix(pairs, (num_edges, len(quads)))
    edge_points = 0.5 * linear[count : count + num_edges] + 0.25 * incidence @ faces
    # a vertex of valence n moves to (F + 2R + (n − 3) P) / n
    ones = np.ones(quads.size)
    of_face = sparse.csr_matrix((ones, (quads.ravel(), np.repeat(np.arange(len(quads)), 4))), (count, len(quads)))
    of_edge = (linear[count : count + num_edges].T > 0).astype(float)
    valence = np.asarray(of_face.sum(1)).ravel()
    scale = sparse.diags(1 / valence)
    face_mean, edge_mean = scale @ of_face @ faces, scale @ of_edge @ linear[count : count + num_edges]
    vertices = scale @ (face_mean + 2 * edge_mean + sparse.diags(valence - 3.0) @ sparse.identity(count))
    return sparse.vstack([vertices, edge_points, faces]).tocsr(), fine


def random_people(targets: Targets, base: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count, kept, 3) dm vertices of random neutral heads, placed on each other by their mean point above the chin.

    Macros (age, gender, ethnicity, muscle, weight) and every local slider of the head are drawn independently.
    """
    rng = np.random.default_rng(seed)
    people = np.repeat(base[None], count, 0).reshape(count, -1)
    for name, weights in [*_macro_weights(rng, count).items(), *_local_weights(rng, targets, count).items()]:
        people += weights[:, None] * targets[name].reshape(1, -1)
    people = people.reshape(count, -1, 3)
    return people - people[:, base[:, 1] > SKULL_HEIGHT].mean(1, keepdims=True)


def _levels(values: np.ndarray) -> np.ndarray:
    """(n,) in 0 … 1 → (n, 3) piecewise linear weights of the levels at 0, 0.5 and 1."""
    return np.clip(1 - np.abs(values[:, None] - np.array([0, 0.5, 1])) * 2, 0, 1)


def _macro_weights(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Weights of the macro targets: products of the levels of age, gender, ethnicity, muscle and weight."""
    race = rng.dirichlet([0.6, 0.6, 0.6], count)
    male = rng.beta(0.5, 0.5, count)
    gender = {"female": 1 - male, "male": male}
    age = np.clip(rng.normal(0.55, 0.22, count), 0.2, 1)
    muscle, fat = (_levels(np.clip(rng.normal(0.5, 0.2, count), 0, 1)) for _ in range(2))
    ages = _levels(age)
    weights = {}
    for g, a in ((g, a) for g in gender for a in range(3)):
        share = gender[g] * ages[:, a]
        for r, name in enumerate(RACES):
            weights[f"macrodetails/{name}-{g}-{AGES[a]}"] = share * race[:, r]
        for m, f in ((m, f) for m in range(3) for f in range(3)):
            name = f"macrodetails/universal-{g}-{AGES[a]}-{LEVELS[m]}muscle-{LEVELS[f]}weight"
            weights[name] = share * muscle[:, m] * fat[:, f]
    return weights


def _local_weights(rng: np.random.Generator, targets: Targets, count: int) -> dict[str, np.ndarray]:
    """Weights of the local sliders; left and right share most of their value."""
    weights, shared = {}, {}
    for folder in LOCAL_FOLDERS:
        for negative, positive in targets.modifiers(folder):
            name = positive or negative
            if any(part in name for part in SKIPPED):
                continue
            stem = name.split("/")[1]
            value = rng.normal(0, ASYMMETRY_STD, count)
            if folder != "asym":
                key = stem[2:] if stem[:2] in ("l-", "r-") else stem
                if key not in shared:
                    shared[key] = rng.normal(0, SLIDER_STD, count)
                value = shared[key] + (value if key != stem else 0)
            if negative:
                weights[negative] = np.clip(-value, 0, 1)
            if positive:
                weights[positive] = np.clip(value, 0, 1) if negative else np.clip(np.abs(value), 0, 1)
    return weights


def principal_components(samples: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(S, N, 3) → mean (N, 3), components times their standard deviation (N, 3, count), share of the variance kept."""
    mean = samples.mean(0)
    flat = (samples - mean).reshape(len(samples), -1)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    basis = (values[:count, None] * right[:count] / np.sqrt(len(samples) - 1)).T.reshape(*mean.shape, count)
    return mean, basis, float((values[:count] ** 2).sum() / (values**2).sum())


def expression_units(data: Path, targets: Targets) -> tuple[list[str], np.ndarray]:
    """The 52 ARKit units: names in alphabetical order and (kept, 3, 52) offsets at weight 1, dm."""
    paths = sorted((data / "faceunits01" / "targets" / "faceunits").glob("*.target"))
    return [p.stem for p in paths], np.stack([read_target(p, targets.count)[targets.keep] for p in paths], -1)
