"""Joins modules of JavaScript into one, because a browser takes longer to fetch 80 modules than to run them.

Not a parser: it knows the few forms of imports and exports that the page uses, and fails on any other. A module becomes
a function that is called once, in the order in which modules run, and returns what the module exports. Lines stay
lines, so that the source map only has to count them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any, Final

_NOT_CODE: Final = r"(?P<before>(?:\s|//[^\n]*\n|/\*.*?\*/)*)"
_NAMES: Final = r"\{(?P<names>[\w\s,$]*)\}"
_FROM: Final = r'\s*from\s*"(?P<source>\.[^"]+)";'
_IMPORT: Final = re.compile(rf"{_NOT_CODE}import\s*(?:(?P<default>\w+)\s|{_NAMES}){_FROM}", re.DOTALL)
_EXPORT: Final = re.compile(
    r"export\s*(?:(?P<declared>(?:(?:async )?function |class |const )(?P<name>\w+)\b)"
    rf"|(?P<default>default )(?=function\()|{_NAMES}(?:{_FROM}|;))"
)
_PAIR: Final = re.compile(r"([\w$]+)(?:\s+as\s+([\w$]+))?")
_STATEMENT: Final = re.compile(r"(?:im|ex)port\b(?<![^\n;}].{6})")
_UNKNOWN: Final = re.compile(r"import\b(?:\s*\(|\.meta\b(?!\.url\b))")
_OWN_MAP: Final = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)

_VENDOR: Final = "vendor/"
"""Where minified modules are, which export their variables at the end. In others that could be one that changes, and
importers would not see the change."""

_FIRST_LINE: Final = "AAAA"
_NEXT_LINE: Final = "AACA"


class CannotJoinError(ValueError):
    """A module has a form that is not known here."""


@dataclass(frozen=True)
class JoinedScript:
    """A module that holds others, and the source map that finds them in it."""

    text: str
    source_map: str


@dataclass
class _Module:
    name: str = ""
    text: str = ""
    exports: dict[str, str] = field(default_factory=dict)
    """The names that the module exports, with their expressions."""


def join(entry: str, files: Mapping[str, bytes], base: str) -> JoinedScript:
    """Return a module that does what ``entry`` does, with all that it imports.

    Args:
        entry: the path of a module.
        files: those of all modules, by path.
        base: the address below which modules have their paths.

    Raises:
        CannotJoinError: a module has a form that is not known here, or modules import each other.
    """
    joiner = _Joiner(files, base)
    joiner.add(entry)
    lines: list[str] = []
    sections: list[dict[str, Any]] = []
    for path, module in joiner.modules.items():
        lines.append(f"const {module.name} = (() => {{ // {path}")
        own = module.text.split("\n")
        mappings = ";".join([_FIRST_LINE] + [_NEXT_LINE] * (len(own) - 1))
        places = {"version": 3, "sources": [base + path], "names": [], "mappings": mappings}
        sections.append({"offset": {"line": len(lines), "column": 0}, "map": places})
        exported = ", ".join(f"{name}: {value}" for name, value in module.exports.items())
        lines += [*own, f"return {{ {exported} }};", "})();"]
    return JoinedScript("\n".join([*lines, ""]), json.dumps({"version": 3, "sections": sections}))


class _Joiner:
    """Has the modules so far, in the order in which they run."""

    def __init__(self, files: Mapping[str, bytes], base: str) -> None:
        self.modules: Final[dict[str, _Module]] = {}
        self._files: Final = files
        self._base: Final = base
        self._under_way: Final[list[str]] = []

    def add(self, path: str) -> _Module:
        """Return the module with a path, after all that it imports."""
        if path in self._under_way:
            raise CannotJoinError(" imports ".join([*self._under_way, path]))
        if path not in self.modules:
            self._under_way.append(path)
            module = self._converted(path)
            self._under_way.pop()
            module.name = f"joined_{len(self.modules)}"
            self.modules[path] = module
        return self.modules[path]

    def _converted(self, path: str) -> _Module:
        source = _OWN_MAP.sub("", self._files[path].decode())
        if unknown := _UNKNOWN.search(source):
            raise _unknown(path, source, unknown.start())
        module = _Module()
        parts, at = [], 0
        while found := _IMPORT.match(source, at):
            parts += [found["before"], _padded(self._import(path, found), found)]
            at = found.end()
        while statement := _STATEMENT.search(source, at):
            found = _EXPORT.match(source, statement.start())
            if found is None:
                raise _unknown(path, source, statement.start())
            parts += [source[at : found.start()], _padded(self._export(path, found, module), found)]
            at = found.end()
        own_address = f"new URL({json.dumps(self._base + path)}, import.meta.url).href"
        module.text = "".join([*parts, source[at:]]).replace("import.meta.url", own_address)
        return module

    def _import(self, path: str, found: re.Match[str]) -> str:
        pairs = [("default", found["default"])] if found["default"] else _pairs(found)
        origin = self._origin(path, found, (name for name, _ in pairs))
        taken = ", ".join(name if name == local else f"{name}: {local}" for name, local in pairs)
        return f"const {{ {taken} }} = {origin};"

    def _export(self, path: str, found: re.Match[str], module: _Module) -> str:
        if found["declared"]:
            module.exports[found["name"]] = found["name"]
            return found["declared"]
        if found["default"]:
            module.exports["default"] = "joined_default"
            return "const joined_default="
        pairs = _pairs(found)
        if found["source"]:
            prefix = f"{self._origin(path, found, (name for name, _ in pairs))}."
        elif path.startswith(_VENDOR):
            prefix = ""
        else:
            raise _unknown(path, found.string, found.start())
        module.exports |= {exported: f"{prefix}{name}" for name, exported in pairs}
        return ""

    def _origin(self, path: str, found: re.Match[str], names: Iterable[str]) -> str:
        """Return what holds the exports of the module that a statement names."""
        source = normpath(PurePosixPath(path).parent / found["source"])
        if source not in self._files:
            raise CannotJoinError(f"{path}: there is no {source}")
        module = self.add(source)
        if missing := [name for name in names if name not in module.exports]:
            raise CannotJoinError(f"{path}: {source} does not export {', '.join(missing)}")
        return module.name


def _unknown(path: str, source: str, at: int) -> CannotJoinError:
    line = source.count("\n", 0, at)
    return CannotJoinError(f"{path}:{line + 1}: this form is not known: {source.splitlines()[line][:100]}")


def _pairs(found: re.Match[str]) -> list[tuple[str, str]]:
    """Return the names of a statement, each with what it is called from there on."""
    return [(name, later or name) for name, later in _PAIR.findall(found["names"])]


def _padded(text: str, found: re.Match[str]) -> str:
    """Return what replaces a statement, with as many lines."""
    return text + "\n" * found[0].count("\n", len(found["before"]) if "before" in found.re.groupindex else 0)
