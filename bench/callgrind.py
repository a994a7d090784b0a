"""Machine instructions, counted by Valgrind's callgrind: nearly the same on a busy machine as on a quiet one.

A program calls :func:`mark` where a section begins or ends, and :func:`sections` returns the instructions between each
mark and the next. The mark is a system call that programs do not make otherwise; callgrind writes its counters to a
file and clears them before each call of it, so that one start of a program measures any number of sections.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.sink import BenchError

_FUNCTION: Final = "getsid"
_SUMMARY: Final = re.compile(rb"^(?:summary|totals): (\d+)", re.MULTILINE)
_OUT: Final = "out"

INSTALL: Final = "Valgrind is not installed, so nothing was counted: apt-get install valgrind, or dnf install valgrind"


def mark() -> None:
    """End a section and begin the next one."""
    os.getsid(0)


def installed() -> bool:
    """Return whether there is a ``valgrind``."""
    return shutil.which("valgrind") is not None


def sections(
    module: str, arguments: Sequence[str], variables: Mapping[str, str], *, all_threads: bool = False
) -> tuple[list[int], str]:
    """Run a module of this folder, and return the instructions of its sections, and what it has printed.

    What comes before the first mark and after the last one is no section. Counted is the main thread alone, which has
    to make the marks, or with *all_threads* every one.

    Raises:
        BenchError: the program failed.
    """
    with TemporaryDirectory() as directory:
        out = Path(directory, _OUT)
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--separate-threads={'no' if all_threads else 'yes'}",
            f"--dump-before={_FUNCTION}",
            f"--callgrind-out-file={out}",
            sys.executable,
            "-m",
            module,
            *arguments,
        ]
        # The hashes of texts are the same in all runs, and so is the work of each dictionary.
        same = {**variables, "PYTHONHASHSEED": "0"}
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=same)
        if ended.returncode:
            msg = f"{module} {' '.join(arguments)} failed below Valgrind:\n{ended.stderr[-1000:]}"
            raise BenchError(msg)
        # The first part is what came before the first mark; what comes after the last one has no number.
        parts = sorted((int(path.suffix[1:].partition("-")[0]), path) for path in _parts(out, all_threads=all_threads))
        return [_instructions(path) for _, path in parts[1:]], ended.stdout


def _parts(out: Path, *, all_threads: bool) -> list[Path]:
    return list(out.parent.glob(f"{_OUT}.*" if all_threads else f"{_OUT}.*-01"))


def _instructions(part: Path) -> int:
    found = _SUMMARY.search(part.read_bytes())
    if found is None:
        msg = f"callgrind wrote no sum into {part.name}"
        raise BenchError(msg)
    return int(found[1])
