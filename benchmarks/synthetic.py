"""Speed of the synthetic faces: what a face costs in a batch.

    python -m benchmarks synthetic                        # 128 px on one thread
    python -m benchmarks synthetic --size 192 --device cuda --threads 8

The reference paints and lights every face alone, as a loop over faces does.
"""

import torch

from benchmarks.report import best_ms, make_parser, note, row, start
from datasets.synthetic.rendered import SyntheticFaces, SyntheticSettings
from morphable.model import EMBEDDED_HEAD, FaceModel


def main(arguments: list[str] | None = None) -> None:
    """Print milliseconds per face."""
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.size, options.batch, options.repeats = 64, 2, 1
    start(options)
    device = torch.device(options.device)
    faces = SyntheticFaces(FaceModel.load(EMBEDDED_HEAD), SyntheticSettings(size_px=options.size), 0, device)

    def alone() -> None:
        for i in range(options.batch):
            faces.batch(options.batch + i, 1)

    batched = best_ms(lambda: faces.batch(1, options.batch), options.repeats) / options.batch
    single = best_ms(alone, max(1, options.repeats // 3)) / options.batch
    row(f"face of {options.size} px in batches of {options.batch}, {device}; alone", batched, single)
    note(f"{1000 / batched:.1f} faces a second")


if __name__ == "__main__":
    main()
