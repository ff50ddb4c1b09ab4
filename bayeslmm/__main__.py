"""``python -m bayeslmm``: the same as the command ``bayeslmm``."""

import sys

from bayeslmm.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
