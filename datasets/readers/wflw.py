"""WFLW: 10,000 faces with 98 points and six attributes."""

from common.errors import DataError
from common.files.images import safe_join
from common.files.points import read_text
from common.files.tables import numbers
from datasets.sample import Annotation, FaceDataset
from geometry.schemes import WFLW_98

ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")  # in the order of the columns
MAX_LIST_BYTES = 64 * 2**20


class Wflw(FaceDataset):
    """`WFLW_images/`, `WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{train,test}.txt`.

    A line: 196 coordinates (0-based), box x1 y1 x2 y2, six 0/1 attributes, image name. Splits: train, test, full (=
        test) and
    the six attributes, which are parts of test.
    """

    name = "wflw"
    title = "WFLW"
    source = "https://wywu.github.io/projects/LAB/WFLW.html"
    splits = ("train", "test", "full", *ATTRIBUTES)
    scheme = WFLW_98
    extend_bottom = 0.10

    def read_annotations(self) -> list[Annotation]:
        part = "train" if self.split == "train" else "test"
        lists = self.root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
        path = self.require(lists / f"list_98pt_rect_attr_{part}.txt")
        folder = self.require(self.root / "WFLW_images")
        annotations = []
        for number, line in enumerate(read_text(path, MAX_LIST_BYTES).splitlines(), start=1):
            if not line.strip():
                continue
            values = line.split(maxsplit=206)
            if len(values) != 207:
                raise DataError(
                    f"{path}:{number}: expected 206 numbers and an image name, found {len(values)} columns."
                )
            row = numbers(values[:206], (206,), f"{path}:{number}")
            labels = {name: bool(flag) for name, flag in zip(ATTRIBUTES, row[200:206], strict=True)}
            if self.split in ATTRIBUTES and not labels[self.split]:
                continue
            name = values[206].strip()
            points = row[:196].reshape(98, 2) + 0.5
            unique = f"{name}#{number}"  # one photo may hold several faces
            annotations.append(
                Annotation(safe_join(folder, name), unique, points, box=row[196:200] + 0.5, labels=labels)
            )
        return annotations
