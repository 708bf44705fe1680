"""Damaged files for every parser: each may give a value or one sentence, soon, and nothing else.

    python -m tests.fuzz.parsers --count 20000 --seed 0

A file that ends in another exception, or takes longer than LIMIT_S of processor time, is kept in --keep.
"""

import argparse
import json
import pickle
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat

from common.checkpoint import read_config, read_state, read_tensors
from common.config import read_local_config
from common.errors import UserError
from common.files.arrays import read_npy, read_npz
from common.files.images import image_size, read_image
from common.files.mat import read_mat_file
from common.files.meshes import Mesh, read_obj, read_obj_vertices, read_ply, write_obj, write_ply
from common.files.points import read_json_points, read_pts, read_rows
from common.files.tables import read_csv, read_records
from common.files.tar import index_tar
from drawing.surfaces import read_depth, write_depth
from morphable.loaders.pickles import read_object_npy, read_pickled
from morphable.loaders.tddfa_files import read_numbers

LIMIT_S = 5
TOKENS = (
    b"nan",
    b"inf",
    b"-1",
    b"1e308",
    b"9" * 30,
    b"0",
    b"\0",
    b"\xff\xfe",
    b"[" * 2000,
    b"{",
    b'"',
    b"\n",
    b",",
    b" ",
)


@dataclass(frozen=True)
class Parser:
    """name: of the file, whose suffix matters to some; seed: writes a valid one; read: what takes it."""

    name: str
    seed: Callable[[Path], object]
    read: Callable[[Path], object]


def _picture(path: Path, mode: str = "RGB") -> None:
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).convert(mode).save(path)


def _mesh() -> Mesh:
    return Mesh(np.eye(4, 3), np.array([[0, 1, 2], [0, 2, 3]]), np.full((4, 3), 0.5))


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for name in ("a/b.jpg", "c.jpg"):
            entry = tarfile.TarInfo(name)
            entry.size = 700
            archive.addfile(entry, BytesIO(bytes(700)))


def _text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


POINTS = [[1.5, 2.25], [3.0, 4.0], [5.0, 6.5]]
TABLE = {"image": "a.jpg", "landmarks": POINTS}
PARSERS = (
    *(Parser(f"photo.{kind}", _picture, read_image) for kind in ("png", "jpg", "bmp", "webp", "tif", "gif")),
    Parser("palette.png", lambda path: _picture(path, "P"), read_image),
    Parser("cmyk.jpg", lambda path: _picture(path, "CMYK"), image_size),
    Parser("face.pts", _text("version: 1\nn_points: 3\n{\n1.5 2.25\n3 4\n5 6.5\n}\n"), read_pts),
    Parser("face.json", _text(json.dumps({"landmarks": POINTS})), read_json_points),
    Parser("face.txt", _text("1.5 2.25\n3,4\n5\t6.5\n"), read_rows),
    Parser("table.csv", _text("name,x\na.jpg,1\n'b, c.jpg',3\n"), lambda path: list(read_csv(path, ("name", "x")))),
    Parser("table.json", _text(json.dumps([TABLE, TABLE])), lambda path: read_records(path, ("image",))),
    Parser("table.ljson", _text(f"{json.dumps(TABLE)}\n" * 3), lambda path: read_records(path, ("image",))),
    Parser("array.npy", lambda path: np.save(path, np.arange(12.0).reshape(3, 4)), read_npy),
    Parser("arrays.npz", lambda path: np.savez_compressed(path, a=np.eye(5)), lambda path: read_npz(path, ("a",))),
    Parser("variables.mat", lambda path: savemat(path, {"a": np.eye(3), "b": {"c": "text"}}), read_mat_file),
    Parser("mesh.ply", lambda path: write_ply(path, _mesh()), read_ply),
    Parser("text.ply", lambda path: write_ply(path, _mesh(), binary=False), read_ply),
    Parser("mesh.obj", lambda path: write_obj(path, _mesh()), read_obj),
    Parser("vertices.obj", lambda path: write_obj(path, _mesh()), read_obj_vertices),
    Parser("photos.tar", _tar, index_tar),
    Parser("local.ini", _text("[Paths]\ndata = ~/a ; here\nb = $HOME/b\n[Runtime]\nworkers = 2\n"), read_local_config),
    Parser("config.json", _text(json.dumps({"format": 1, "step": 3})), lambda path: read_config(path.parent)),
    Parser("model.safetensors", lambda path: save_file({"w": torch.eye(3)}, path), read_tensors),
    Parser("state.pt", lambda path: torch.save({"w": torch.eye(3), "n": [1, 2]}, path), read_state),
    Parser("depth.png", lambda path: write_depth(path, torch.linspace(0, 90, 64).reshape(8, 8)), read_depth),
    Parser("model.pkl", lambda path: path.write_bytes(pickle.dumps({"v": np.eye(3), "n": [1]})), read_pickled),
    Parser("object.npy", lambda path: np.save(path, {"v": np.eye(3)}, allow_pickle=True), read_object_npy),
    Parser("numbers.txt", _text("1 2 3\n4 5 6\n"), read_numbers),
)  # fmt: skip


def damaged(seed: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: flipped, cut, removed, repeated or inserted bytes, numbers at their limits, or all noise."""
    data = bytearray(seed)
    for _ in range(rng.integers(1, 5)):
        begin, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 33))
        # The first bytes say what a file is and how large, so half of the changes fall there.
        begin = min(begin, int(rng.integers(1, 129))) if rng.random() < 0.5 else begin
        match rng.integers(8):
            case 0:
                for place in range(begin, min(begin + length, len(data))):
                    data[place] ^= 1 << int(rng.integers(8))
            case 1:
                data[begin : begin + length] = rng.bytes(length)
            case 2:
                del data[begin:]
            case 3:
                del data[begin : begin + length]
            case 4:
                data[begin:begin] = data[begin : begin + length] * int(rng.integers(1, 20))
            case 5:
                data[begin:begin] = TOKENS[rng.integers(len(TOKENS))]
            case 6:
                data[begin : begin + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"][rng.integers(3)]
            case 7:
                data = bytearray(rng.bytes(length * 8)) if rng.random() < 0.1 else data
    return bytes(data)


class TooSlowError(BaseException):
    """A parser took longer than LIMIT_S; no parser catches it, as it is no Exception."""


def _stop(*_: object) -> None:
    raise TooSlowError


def attack(parser: Parser, path: Path) -> str:
    """ "read", "refused", or what else came of it."""
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        parser.read(path)
        return "read"
    except UserError as error:
        message = str(error)
        return "refused" if message.strip() and "\n" not in message else f"message of several lines: {message[:200]!r}"
    except TooSlowError:
        return f"more than {LIMIT_S} s"
    except Exception as error:  # noqa: BLE001  what this looks for
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def fuzz(count: int, seed: int, folder: Path, keep: Path | None = None) -> tuple[Counter, list[str]]:
    """Attack all parsers in turn with `count` files. Returns: how often each result came; the findings."""
    signal.signal(signal.SIGVTALRM, _stop)
    rng = np.random.default_rng(seed)
    seeds = []
    for parser in PARSERS:
        parser.seed(folder / parser.name)
        assert attack(parser, folder / parser.name) == "read", f"{parser.name}: the undamaged file is not read"
        seeds.append((folder / parser.name).read_bytes())
    results, findings = Counter(), []
    for number in range(count):
        parser, content = PARSERS[number % len(PARSERS)], seeds[number % len(PARSERS)]
        path = folder / parser.name
        path.write_bytes(damaged(content, rng))
        result = attack(parser, path)
        results[result if result in ("read", "refused") else "found"] += 1
        if result not in ("read", "refused"):
            findings.append(f"{parser.name}, input {number}: {result}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{number}_{parser.name}").write_bytes(path.read_bytes())
    return results, findings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="files [20000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("outputs/fuzz"), help="folder of the files that were found")
    options = parser.parse_args(arguments)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        results, findings = fuzz(options.count, options.seed, Path(folder), options.keep)
    sys.stdout.write("".join(f"{finding}\n" for finding in findings))
    spent = time.process_time() - started
    sys.stdout.write(
        f"{options.count} files, {len(PARSERS)} parsers, seed {options.seed}: {results['read']} read,"
        f" {results['refused']} refused, {len(findings)} found; {spent:.0f} s of processor time\n"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
