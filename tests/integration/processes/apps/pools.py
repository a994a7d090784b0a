"""Pools of ``concurrent.futures``: ``python -m …pools KIND``."""

import multiprocessing
import sys
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from tests.integration.processes.apps.telling import begin_run, block, connect, fail, take, take_some

failpath = connect()


def work(name: str) -> str:
    run = begin_run(failpath)
    take_some(run)
    return take(run, name, lambda: name)


def work_in_vain(name: str) -> Any:
    return take(begin_run(failpath), name, fail)


def pool(kind: str) -> Executor:
    if kind == "threads":
        return ThreadPoolExecutor(2)
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind))


def main(kind: str) -> None:
    with block(begin_run(failpath), "the first pool"), pool(kind) as first:
        assert list(first.map(work, map(str, range(6)))) == list(map(str, range(6)))
        assert isinstance(first.submit(work_in_vain, "in vain").exception(), ValueError)
    # Nobody waits for this one but the end of the interpreter.
    second = pool(kind)
    for number in range(6):
        second.submit(work, f"at the end {number}")


if __name__ == "__main__":
    main(sys.argv[1])
