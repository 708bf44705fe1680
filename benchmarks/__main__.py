"""Run one benchmark: python -m benchmarks NAME [its options]; without a name, list them."""

import importlib
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main(arguments: list[str]) -> int:
    """Exit code: 0 done, 2 unknown name."""
    if not arguments or arguments[0] not in NAMES:
        sys.stderr.write(f"usage: python -m benchmarks NAME [options]; NAME is one of {', '.join(NAMES)}\n")
        return 2
    name, *sys.argv[1:] = arguments
    sys.argv[0] = f"python -m benchmarks {name}"
    importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
