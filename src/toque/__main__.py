"""`python -m toque` is `toque`."""

import sys

from toque.cli import main

if __name__ == "__main__":
    sys.exit(main())
