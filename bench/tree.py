"""Another tree of the package, which is measured by the bench of this one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_PACKAGE: Final = "failpath_otel"
_VARIABLE: Final = "PYTHONPATH"


def other_tree() -> Path | None:
    """Return the tree that ``PYTHONPATH`` names first, unless it is this one."""
    for entry in filter(None, os.environ.get(_VARIABLE, "").split(os.pathsep)):
        tree = Path(entry).resolve()
        if (tree / _PACKAGE).is_dir():
            return None if tree == _HERE.parent else tree
    return None


def measure_there(tree: Path, names: Sequence[str]) -> int:
    """Run the named parts of this bench with the package of *tree*, and return the exit code."""
    variables = {name: value for name, value in os.environ.items() if name != _VARIABLE}
    # `python -m` searches its working directory first, and so do the processes that the parts start.
    with TemporaryDirectory() as directory:
        Path(directory, _PACKAGE).symlink_to(tree / _PACKAGE)
        Path(directory, _HERE.name).symlink_to(_HERE)
        return subprocess.call([sys.executable, "-m", _HERE.name, *names], cwd=directory, env=variables)
