"""Children of ``multiprocessing``: ``python -m …children METHOD``, where ``METHOD`` is how it starts them."""

import multiprocessing
import os
import random
import sys
import threading
from typing import Any

from tests.integration.processes.apps.telling import begin_run, block, connect, take_some

failpath = connect()


def work(how: str) -> None:
    """Takes steps, then ends inside of one; what starts children skips ``atexit`` in most of them."""
    if "SEED" in os.environ:
        random.seed(int(os.environ["SEED"]))
    run = begin_run(failpath)
    take_some(run)
    with block(run, how):
        if how == "vanishes":
            os._exit(0)
        if how == "is terminated":
            threading.Event().wait()


def tasks(count: int) -> list[str]:
    return [f"task {number}" for number in range(count)]


def main(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    ways = ["returns", "vanishes", "is terminated"]
    with block(begin_run(failpath), "all children"):
        children = {how: context.Process(target=work, args=(how,)) for how in ways}
        for child in children.values():
            child.start()
        # The test sees by the ledger when the child is in its step.
        sys.stdin.readline()
        children["is terminated"].terminate()
        for child in children.values():
            child.join()
        # It terminates its workers when its block is left.
        with context.Pool(2) as pool:
            pool.map(work, tasks(4), chunksize=1)


if __name__ == "__main__":
    main(sys.argv[1])
