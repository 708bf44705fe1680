"""Run one benchmark: python -m benchmarks NAME [its options]; without a name, list them."""

import importlib
import os
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem != "report")
# The allocator otherwise gives large blocks back to the system after every step and fetches them again, page by page.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 unknown name."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] not in NAMES:
        sys.stderr.write(f"usage: python -m benchmarks NAME [options]; NAME is one of {', '.join(NAMES)}\n")
        return 2
    name, *options = arguments
    sys.argv[0] = f"python -m benchmarks {name}"  # for --help
    importlib.import_module(f"benchmarks.{name}").main(options)
    return 0


if __name__ == "__main__":
    if not ALLOCATOR.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], os.environ | ALLOCATOR)
    sys.exit(main())
