"""Draws which room of the package imports which, as layers from the top floor down: ``python -m tools.imports``.

A room is a folder of the package with all that is below it, or a module that stands beside the folders. Read from the
source, so that an import inside a function counts as well. ``--dot`` prints the same for Graphviz; ``--depth 2`` shows
the rooms inside ``delivery/``, ``journal/`` and ``local/`` on their own.
"""

import argparse
import ast
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "failpath_otel"

Graph = dict[str, set[str]]
"""For each room, those that it imports, without itself."""


def sources(*rooms: str) -> list[Path]:
    """Return the source files of a room, or of the whole package."""
    return sorted(PACKAGE.joinpath(*rooms).rglob("*.py"))


@cache
def tree(source: Path) -> ast.Module:
    """Parse a source file."""
    return ast.parse(source.read_text(encoding="utf-8"), str(source))


@cache
def imports(source: Path) -> tuple[str, ...]:
    """Return the full name of everything that *source* imports, wherever in it."""
    parts = source.relative_to(ROOT).with_suffix("").parts
    found: list[str] = []
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*parts[: -node.level], *([base] if base else [])])
            found += (f"{base}.{alias.name}" for alias in node.names)
    return tuple(found)


def room_of(name: str, depth: int = 1) -> str | None:
    """Return the room of the package that the full *name* of a module or object is in; ``None`` for other packages."""
    package, *parts = name.split(".")
    if package != PACKAGE.name or not parts:
        return None
    folder: list[str] = []
    for part in parts[:depth]:
        if not PACKAGE.joinpath(*folder, part).is_dir():
            break
        folder.append(part)
    if folder:
        return "/".join(folder) + "/"
    return f"{parts[0]}.py" if (PACKAGE / f"{parts[0]}.py").is_file() else "__init__.py"


def import_graph(depth: int = 1) -> Graph:
    """Return which room imports which; rooms are folders down to *depth* levels below the package."""
    graph: Graph = {}
    for source in sources():
        module = ".".join(source.relative_to(ROOT).with_suffix("").parts)
        room = room_of(module, depth) or "__init__.py"
        known = {found for name in imports(source) if (found := room_of(name, depth)) is not None}
        graph.setdefault(room, set()).update(known - {room})
    return graph


def layers(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the floors of *graph*, the lowest one first; rooms of a circle, and those above one, are on none.

    A room stands on the floor above the highest one that it imports from.
    """
    left = dict(graph)
    floors: list[list[str]] = []
    while free := sorted(room for room, known in left.items() if not known & left.keys()):
        floors.append(free)
        for room in free:
            del left[room]
    return floors


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the rooms that import themselves by way of others."""

    def reached(room: str) -> set[str]:
        found: set[str] = set()
        waiting = [room]
        while waiting:
            known = graph.get(waiting.pop(), set()) - found
            found |= known
            waiting += known
        return found

    return sorted(room for room in graph if room in reached(room))


def as_text(graph: Mapping[str, set[str]]) -> str:
    """Return *graph* as text: the top floor first, each room with those that it imports."""
    floors = layers(graph)
    width = max(map(len, graph))
    lines = [
        f"   {room:{width}}  {' '.join(sorted(graph[room]))}" for room in sorted(graph.keys() - set().union(*floors))
    ]
    if found := circles(graph):
        lines.insert(0, f"circle: {' '.join(found)}")
    for number, floor in reversed(list(enumerate(floors, 1))):
        lines.append(f"{number}")
        lines += [f"   {room:{width}}  {' '.join(sorted(graph[room]))}".rstrip() for room in floor]
    return "\n".join(lines)


def as_dot(graph: Mapping[str, set[str]]) -> str:
    """Return *graph* in the language of Graphviz."""
    edges = [f'  "{room}" -> "{known}";' for room in sorted(graph) for known in sorted(graph[room])]
    floors = ["  { rank=same; " + " ".join(f'"{room}";' for room in floor) + " }" for floor in layers(graph)]
    return "\n".join(["digraph imports {", "  node [shape=box];", *floors, *edges, "}"])


def main() -> None:
    """Print the drawing that the command line asks for."""
    parser = argparse.ArgumentParser(description="Draws which room of the package imports which.")
    parser.add_argument("--depth", type=int, default=1, help="levels of folders; default: 1")
    parser.add_argument("--dot", action="store_true", help="print Graphviz's language in place of text")
    arguments = parser.parse_args()
    graph = import_graph(arguments.depth)
    sys.stdout.write((as_dot(graph) if arguments.dot else as_text(graph)) + "\n")


if __name__ == "__main__":
    main()
