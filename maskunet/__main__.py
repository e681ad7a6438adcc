"""python -m maskunet COMMAND."""

import sys

from maskunet.commands.registry import main

if __name__ == "__main__":
    sys.exit(main())
