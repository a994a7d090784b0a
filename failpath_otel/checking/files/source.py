"""A source file: its text, its syntax, and which lines say that they are not to be checked."""

import ast
import os
import re
import warnings
from functools import cached_property
from importlib.util import decode_source
from pathlib import Path
from typing import Final

from failpath_otel.checking.files.place import Place
from failpath_otel.flows.regular_file import read_regular_file
from failpath_otel.flows.typed_module import MARK

_MAX_BYTES: Final = 16_000_000
_IGNORE: Final = re.compile(rb"#\s*failpath:\s*ignore(?:\[([\w\s,-]*)\])?", re.IGNORECASE)
_IMPORT: Final = re.compile(
    rb"^[ \t]*(?:from[ \t]+(\.*)[ \t]*([\w.]*)[ \t]+import[ \t]+(?:\(([^)]*)\)|([^\n]*))|import[ \t]+([\w., \t]+))",
    re.MULTILINE,
)
_NAME: Final = re.compile(rb"(\w+)(?:[ \t]+as[ \t]+\w+)?")

ImportedName = tuple[int, tuple[str, ...]]
"""The number of dots before the name of a module, and its parts."""


class SourceError(Exception):
    """A file that cannot be checked, and where."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place: Final = place
        self.reason: Final = reason


class Source:
    """A file of Python.

    Args:
        path: as it is shown.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.absolute: Final = os.path.abspath(path)  # noqa: PTH100 - a text, because it is looked up often
        try:
            self.data: Final = read_regular_file(path, _MAX_BYTES)
        except OSError as error:
            raise SourceError(Place(str(path)), f"cannot be read: {error.strerror or error}") from None

    @property
    def is_generated(self) -> bool:
        """Whether this is the module of keys that ``failpath-otel types`` makes."""
        return self.data.startswith(MARK.encode())

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax.

        Raises:
            SourceError: the file is not Python, or of a newer version.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the program's own literals and comparisons
                return ast.parse(self.data, self.path)
        except SyntaxError as error:
            # Of an error in the encoding the line is 0 or missing.
            line = error.lineno or 1
            place = Place(str(self.path), line, max(error.offset or 1, 1))
            raise SourceError(place, f"is not Python: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise SourceError(
                Place(str(self.path)), f"cannot be parsed: {str(error) or type(error).__name__}"
            ) from None

    @cached_property
    def _lines(self) -> list[bytes]:
        # In UTF-8 and as the parser counts them: `splitlines` ends a line at form feeds too.
        return decode_source(self.data).encode(errors="replace").split(b"\n")

    def place(self, node: ast.expr) -> Place:
        """Return where an expression is; columns count characters, from 1."""
        before = self._lines[node.lineno - 1][: node.col_offset]
        return Place(str(self.path), node.lineno, len(before.decode(errors="replace")) + 1)

    def text(self, node: ast.expr | ast.stmt) -> bytes:
        """Return the lines in which ``node`` is."""
        return b"\n".join(self._lines[node.lineno - 1 : node.end_lineno])

    def ignores(self, first: int, last: int, code: str) -> bool:
        """Return whether one of these lines ends in ``# failpath: ignore``, of everything or of this code."""
        for line in self._lines[first - 1 : last]:
            found = _IGNORE.search(line)
            if found and (found[1] is None or code in re.split(r"[\s,]+", found[1].decode())):
                return True
        return False

    def imported_names(self) -> set[ImportedName]:
        """Return the names of modules that may be imported, by a look at the text alone."""
        names: set[ImportedName] = set()
        for dots, module, inside, rest, plain in _IMPORT.findall(self.data):
            if plain:
                for item in plain.decode(errors="replace").split(","):
                    name = item.split()[0] if item.split() else ""
                    names.add((0, tuple(name.split("."))))
                continue
            parts = tuple(filter(None, module.decode(errors="replace").split(".")))
            names.add((len(dots), parts))
            listed = _NAME.findall(re.sub(rb"#[^\n]*", b"", inside or rest))
            names.update((len(dots), (*parts, name.decode(errors="replace"))) for name in listed)
        return names
