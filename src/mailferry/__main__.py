"""``mailferry``, and ``python -m mailferry``."""

import sys


def main() -> int:
    from mailferry.cli.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
