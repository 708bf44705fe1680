"""Photos of drawn heads with their 68 points, and the ini file of a machine that holds nothing else."""

from pathlib import Path

from PIL import Image

from common.files.points import format_pts
from datasets.synthetic.faces import embedded_faces
from datasets.synthetic.rendered import SyntheticBatch
from recon3d.reconstruction import prepare


def draw_photos(folder: Path, count: int, prepared: bool = True) -> SyntheticBatch:
    """Write `photos/face<i>.png` with `.pts`, `x.ini`, and by default `prepared/` of them; returns what was drawn."""
    faces = embedded_faces(140, seed=5).batch(0, count)
    (folder / "photos").mkdir()
    for i in range(count):
        Image.fromarray(faces.images[i].numpy()).save(folder / f"photos/face{i}.png")
        (folder / f"photos/face{i}.pts").write_text(format_pts(faces.landmarks_2d[i].numpy()))
    if prepared:
        assert prepare.main(["--images", str(folder / "photos"), "--out", str(folder / "prepared")]) == 0
    (folder / "x.ini").write_text(
        f"[Paths]\ndata = {folder / 'data'}\noutputs = {folder / 'out'}\n[Runtime]\ndevice = cpu\n"
    )
    return faces
