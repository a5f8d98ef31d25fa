"""`python -m tiercel`: the command line."""

import sys

from tiercel.cli import main

if __name__ == "__main__":
    sys.exit(main())
