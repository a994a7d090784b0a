"""Which files of a program may use keys, and what files import."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from failpath_otel.checking.files.folders import Folders
from failpath_otel.checking.files.source import Source, SourceError

_USES_KEYS: Final = re.compile(
    rb"(?<!def )\b(?:step|skip|record_step|run|run_from_headers|preset)\s*\(|\bpartial\b|StepRule|failpath"
)
_OWN: Final = b"failpath"
_TEST: Final = re.compile(r"(?:test_.*|.*_test|conftest)\.py")


def is_test(source: Source) -> bool:
    """Return whether pytest gives fixtures to the functions of a file."""
    return _TEST.fullmatch(source.path.name) is not None


class Program:
    """The files that are checked, and those that they import from the same project.

    Args:
        folders: finds modules.
        sources: the files that are checked.
    """

    def __init__(self, folders: Folders, sources: Iterable[Source]) -> None:
        self._folders: Final = folders
        self._sources: dict[str, Source | None] = {each.absolute: each for each in sources}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._checked: Final = list(self._sources)
        self.relevant: set[str] = set()
        """The files that name this package, or import something that does: only these can have its clients and runs."""

    def source(self, path: str) -> Source | None:
        """Return a file by its absolute path; ``None`` where it cannot be read."""
        if path not in self._sources:
            try:
                self._sources[path] = Source(Path(path))
            except SourceError:
                self._sources[path] = None
        return self._sources[path]

    def in_order(self) -> list[str]:
        """Return the paths of the files that may use keys; without circles, what is imported comes first."""
        candidates = [path for path in self._checked if (it := self.source(path)) and _USES_KEYS.search(it.data)]
        self.relevant = relevant = self._relevant(self._reached(candidates))
        roots = {path: None for path in candidates if path in relevant}
        return [path for path in self._reached(roots) if path in roots]

    def _reached(self, roots: Iterable[str]) -> list[str]:
        """Return what ``roots`` import, directly or not, and themselves: what is imported first."""
        order: dict[str, None] = {}
        entered: set[str] = set()
        for root in roots:
            stack = [(root, False)]
            while stack:
                path, is_left = stack.pop()
                if is_left:
                    order[path] = None
                elif path not in entered:
                    entered.add(path)
                    stack.append((path, True))
                    stack += [(each, False) for each in self.imports(path) if each not in entered]
        return list(order)

    def imports(self, path: str) -> tuple[str, ...]:
        """Return the files of the project that a file imports."""
        found = self._imports.get(path)
        if found is None:
            source = self.source(path)
            names = source.imported_names() if source is not None else ()
            paths = [self._folders.module(path, parts, level) for level, parts in names]
            if source is not None and is_test(source):
                paths += self._folders.conftests(path)
            found = tuple(sorted({each for each in paths if each is not None and each != path}))
            self._imports[path] = found
        return found

    def _relevant(self, paths: Iterable[str]) -> set[str]:
        """Return those of ``paths`` that name this package, or import something that does."""
        importers: dict[str, list[str]] = {}
        waiting: list[str] = []
        for path in paths:
            for imported in self.imports(path):
                importers.setdefault(imported, []).append(path)
            source = self.source(path)
            if source is not None and _OWN in source.data:
                waiting.append(path)
        relevant: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path not in relevant:
                relevant.add(path)
                waiting += importers.get(path, ())
        return relevant
