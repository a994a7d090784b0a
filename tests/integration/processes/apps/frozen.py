"""Takes steps whenever it is told to, one line each: ``steps`` ends all of them, ``open`` and ``close`` two."""

import sys
from typing import Final

from tests.integration.processes.apps.telling import begin_run, block, connect, take_some

failpath: Final = connect()


def main() -> None:
    for number, line in enumerate(sys.stdin, start=1):
        word = line.strip()
        if word == "steps":
            take_some(begin_run(failpath), f"{number} ")
        elif word == "flush":
            print("flushed" if failpath.flush(20) else failpath.stats(), flush=True)
        elif word == "open":
            with block(begin_run(failpath), "open"):
                take_some(begin_run(failpath), f"{number} ")
                sys.stdin.readline()
        else:
            break


if __name__ == "__main__":
    main()
