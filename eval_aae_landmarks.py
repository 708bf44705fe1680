"""Older name of eval_landmarks.py, kept for the commands of 3FabRec's README."""

import sys

from eval_landmarks import main

if __name__ == "__main__":
    sys.exit(main())
