"""Where the tests keep the peers that they install: in the tree, outside of git, for all sessions to come."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import pytest

CACHE: Final = Path(__file__).parents[3] / ".peers"
_SECONDS: Final = 90


def installed(name: str, install: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, into which ``install`` puts what it holds, once for all processes of tests.

    What ``install`` has begun and not finished is thrown away.
    """
    CACHE.mkdir(exist_ok=True)
    folder = CACHE / name
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            begun = CACHE / f"{name}.begun"
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir()
            install(begun)
            begun.rename(folder)
    return folder


def missing(reason: str, required: str) -> NoReturn:
    """Skips the test that asks for a peer, or fails it where the variable ``required`` is set."""
    if os.environ.get(required):
        pytest.fail(reason)
    pytest.skip(reason)


def run(command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None) -> str:
    """Runs a command in ``folder``; returns why it has failed, or nothing."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stdout[-500:] or f"exit code {done.returncode}") if done.returncode else ""
