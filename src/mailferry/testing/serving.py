"""``python -m mailferry.testing.serving DATA``: the server of a test session, which ends when its standard input does.

However the tests end, the pipe from them is closed, so that no server is left behind.
"""

import os
import signal
import sys
import threading


def main(data: str) -> int:
    threading.Thread(target=_end_with_input, daemon=True).start()
    from mailferry.cli.app import run

    return run(["serve", "--data", data])


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
