"""A module of the program that is checked."""

from typing import Final

from failpath_otel.checking.files.program import is_test
from failpath_otel.checking.files.source import Source
from failpath_otel.checking.inference.scopes import Scope, Walks


class Module:
    """A module: its file, and the scope of its names.

    Args:
        path: its absolute path.
        source: its file.
        walks: takes note of what is read too early.
    """

    def __init__(self, path: str, source: Source, walks: Walks) -> None:
        self.path: Final = path
        self.source: Final = source
        self.scope: Final = Scope("module", self, None, walks)
        self.is_test: Final = is_test(source)
