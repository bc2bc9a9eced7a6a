"""The command `fixedwise`."""

import sys

from . import _fixedwise


def main() -> None:
    """Runs the command line of this process."""
    sys.exit(_fixedwise.main(["fixedwise", *sys.argv[1:]]))
