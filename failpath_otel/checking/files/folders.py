"""Which files there are below the paths that are checked, and which one a module's name stands for."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_OWN_PACKAGE: Final = "failpath_otel"
_INIT: Final = "__init__.py"


class Folders:
    """The contents of folders, each of which is listed once.

    Args:
        tops: the paths that are checked.
    """

    def __init__(self, tops: Iterable[Path]) -> None:
        self._entries: dict[str, dict[str, bool]] = {}
        self._roots: dict[str, tuple[str, ...]] = {}
        self._found: dict[tuple[tuple[str, ...], tuple[str, ...]], str | None] = {}
        working = str(Path.cwd())
        folders = (str(path if path.is_dir() else path.parent) for path in map(Path.absolute, tops))
        self._tops: Final = frozenset({*map(os.path.normpath, folders), working})
        self._always: Final = (working, os.path.join(working, "src"))  # noqa: PTH118 - paths are texts here, for speed

    def files(self, path: Path) -> Iterator[Path]:
        """Yield the files of Python and of TOML below a folder, in order; a file is itself.

        Hidden folders, virtual environments and installed packages are left out, and links are not followed.
        """
        if not path.is_dir():
            yield path
            return
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and name not in _SKIPPED
                and not os.path.isfile(os.path.join(folder, name, "pyvenv.cfg"))  # noqa: PTH113, PTH118 - as above
            )
            yield from (Path(folder, name) for name in sorted(names) if name.endswith((".py", ".toml")))

    def module(self, importer: str, parts: Sequence[str], level: int = 0) -> str | None:
        """Return the file of a module, as a file that imports it finds it; ``None`` for one of a library.

        Args:
            importer: the path of the file that imports it.
            parts: the name of the module, at its dots.
            level: the number of dots before it.
        """
        folder = os.path.dirname(importer)  # noqa: PTH120 - as above
        if level:
            for _ in range(level - 1):
                folder = os.path.dirname(folder)  # noqa: PTH120 - as above
            roots: tuple[str, ...] = (folder,)
        elif not parts or parts[0] == _OWN_PACKAGE:
            return None
        else:
            roots = self._roots_of(folder)
        key = roots, tuple(parts)
        if key not in self._found:
            self._found[key] = next(filter(None, (self._below(root, parts) for root in roots)), None)
        return self._found[key]

    def _below(self, folder: str, parts: Sequence[str]) -> str | None:
        for part in parts[:-1]:
            if self._list(folder).get(part) is not True:
                return None
            folder = f"{folder}{os.sep}{part}"
        if not parts:
            return f"{folder}{os.sep}{_INIT}" if _INIT in self._list(folder) else None
        last = parts[-1]
        entries = self._list(folder)
        if entries.get(last) is True and _INIT in self._list(f"{folder}{os.sep}{last}"):
            return f"{folder}{os.sep}{last}{os.sep}{_INIT}"
        return f"{folder}{os.sep}{last}.py" if f"{last}.py" in entries else None

    def conftests(self, importer: str) -> Iterator[str]:
        """Yield the files ``conftest.py`` whose fixtures a test file sees, the nearest first."""
        folder = os.path.dirname(importer)  # noqa: PTH120 - as above
        while True:
            if "conftest.py" in self._list(folder):
                yield f"{folder}{os.sep}conftest.py"
            parent = os.path.dirname(folder)  # noqa: PTH120 - as above
            if folder in self._tops or parent == folder:
                return
            folder = parent

    def _roots_of(self, folder: str) -> tuple[str, ...]:
        """Return the folders that a file in ``folder`` may import from: all around it that are no packages."""
        roots = self._roots.get(folder)
        if roots is None:
            found: list[str] = []
            passed, at = False, folder
            while True:
                is_package = _INIT in self._list(at)
                if not is_package:
                    found.append(at)
                passed = passed or at in self._tops
                parent = os.path.dirname(at)  # noqa: PTH120 - as above
                if parent == at or (passed and not is_package):
                    break
                at = parent
            roots = self._roots[folder] = tuple(dict.fromkeys((*found, *self._always)))
        return roots

    def _list(self, folder: str) -> dict[str, bool]:
        """Return the names in a folder, and which of them are folders."""
        entries = self._entries.get(folder)
        if entries is None:
            try:
                with os.scandir(folder) as found:
                    entries = {entry.name: entry.is_dir() for entry in found}
            except OSError:
                entries = {}
            self._entries[folder] = entries
        return entries
