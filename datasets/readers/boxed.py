"""CelebA and FFHQ as ParFace-Net's csv files describe them: unlabelled photos with one face box each."""

from common.files.images import safe_join
from common.files.tables import choose_split, numbers, read_csv
from datasets.sample import Annotation, FaceDataset


class BoxedDataset(FaceDataset):
    """`csv/<name>_annotations.csv`: image_path, x1, y1, x2, y2, scale (the detector's confidence); 0-based.

    Upstream has no split: here val holds 10 % by a hash of the name. `python -m datasets.commands.convert` writes the
        csv.
    """

    splits = ("train", "val", "test", "full")
    extend_top, extend_bottom = 0.05, 0.10

    def read_annotations(self) -> list[Annotation]:
        path = self.require(self.root / "csv" / f"{self.name}_annotations.csv")
        rows = list(read_csv(path, ("image_path", "x1", "y1", "x2", "y2")))
        return [
            Annotation(
                safe_join(self.root, row["image_path"]),
                row["image_path"],
                box=numbers([row[c] or "nan" for c in ("x1", "y1", "x2", "y2")], (4,), f"{path}:{line}"),
            )
            for line, row in choose_split(rows, self.split, lambda r: r[1]["image_path"])
        ]


class CelebA(BoxedDataset):
    """Photos below the folder, as the csv names them."""

    name = "celeba"
    title = "CelebA"
    source = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, then python -m datasets.commands.convert celeba"


class Ffhq(BoxedDataset):
    """Photos below the folder, as the csv names them."""

    name = "ffhq"
    title = "FFHQ"
    source = "https://github.com/NVlabs/ffhq-dataset, then python -m datasets.commands.convert ffhq"
