"""``python -m nested``: the command line of the lab."""

import sys

from nested.cli import main

sys.exit(main(sys.argv[1:]))
