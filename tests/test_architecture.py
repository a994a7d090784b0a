"""Which room may know which, and how large rooms and files may become. The drawing is ``tools/imports.py``."""

import ast
import runpy
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import pytest

from tools.imports import PACKAGE, ROOT, as_dot, as_text, circles, import_graph, imports, layers, room_of, sources, tree

MAX_FILES: Final = 16
MAX_LINES: Final = 350


def imported_by(room: str, forbidden: str) -> list[str]:
    return [
        f"{source.relative_to(ROOT)}: {name}"
        for source in sources(room)
        for name in imports(source)
        if f"{name}.".startswith(f"{forbidden}.")
    ]


ABOVE: Final = {
    "scrubbing": ["records", "options", "spans", "steps", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "runtime": ["records", "options", "spans", "steps", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "journal": ["records", "options", "spans", "steps", "delivery", "otlp", "local", "gateway", "serving", "scrubbing"],
    "serving": ["records", "options", "spans", "steps", "delivery", "otlp", "journal", "local", "gateway"],
    "records": ["options", "spans", "steps", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "options": ["spans", "steps", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "delivery": ["spans", "steps", "otlp", "local", "gateway", "serving"],
    "spans": ["steps", "otlp", "local", "gateway", "serving"],
    "steps": ["records", "options", "spans", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "otlp": ["options", "spans", "steps", "delivery", "journal", "local", "gateway"],
    "flows": ["records", "options", "spans", "steps", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "checking": ["options", "spans", "steps", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "gateway": ["spans", "steps", "local", "checking"],
    "integrations": ["records", "options", "spans", "delivery", "otlp", "journal", "local", "gateway", "serving"],
    "local": ["options", "spans", "steps", "delivery", "journal", "gateway"],
}
"""For each room, those that it must not know: they stand on it, or beside it."""

INSIDE: Final = {
    "checking/files": ["checking", "checking/inference"],
    "checking/inference": ["checking"],
    "delivery/http": ["delivery", "delivery/retries", "delivery/waiters"],
    "delivery/retries": ["delivery/http", "delivery/waiters"],
    "journal/segments": ["journal"],
    "local/runs": ["local", "local/api", "local/flows", "local/liveness", "local/store"],
    "local/store": ["local", "local/api", "local/flows", "local/liveness"],
    "local/flows": ["local", "local/api", "local/liveness"],
    "local/liveness": ["local", "local/api", "local/flows"],
    "local/trends": ["local", "local/api", "local/board", "local/liveness"],
    "local/board": ["local", "local/api"],
}
"""The same for rooms inside a room: the one above them (its own modules), or beside them."""

OF_OTHERS: Final = {
    "flows": ["opentelemetry"],
    "steps": ["opentelemetry.sdk", "requests", "msgspec"],
    "local": ["opentelemetry"],
    "journal": ["failpath_otel.semconv", "opentelemetry", "requests", "urllib3", "socket", "msgspec"],
}
"""Libraries and modules that a room must not know."""


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        *((room, f"failpath_otel.{name}") for room, names in ABOVE.items() for name in [*names, "configure", "cli"]),
        *((room, name) for room, names in OF_OTHERS.items() for name in names),
        ("steps", "failpath_otel.private_tracer_provider"),
    ],
)
def test_no_room_imports_what_it_must_not_know(room: str, forbidden: str) -> None:
    assert imported_by(room, forbidden) == []


def test_every_room_but_the_top_floor_is_held_to_a_direction() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - ABOVE.keys() == {"cli"}
    assert {other for others in ABOVE.values() for other in others} <= rooms


def test_only_configure_knows_both_halves() -> None:
    # `joined_providers.py` stands for `spans/`, of which it makes the reporter and the processor of a provider.
    knowing = []
    for source in sources():
        rooms = {name.split(".")[1] for name in imports(source) if name.startswith("failpath_otel.")}
        if "steps" in rooms and rooms & {"spans", "joined_providers"}:
            knowing.append(source.name)
    assert [name for name in knowing if name != "__init__.py"] == ["configure.py"]


def own_files(*endings: str) -> Iterator[Path]:
    """Yield the files of the package that were written here, and not vendored."""
    for path in PACKAGE.rglob("*"):
        if path.suffix in endings and "vendor" not in path.parts:
            yield path


def test_no_folder_holds_more_than_16_modules() -> None:
    modules = [path for path in own_files(".py") if path.stem != "__init__"]
    counts = Counter(path.parent.relative_to(PACKAGE) for path in chain(modules, own_files(".js", ".css")))
    assert len(counts) > 10
    assert {str(folder): count for folder, count in counts.items() if count > MAX_FILES} == {}


@pytest.mark.parametrize(("room", "others"), INSIDE.items(), ids=INSIDE)
def test_no_room_inside_another_imports_what_it_must_not_know(room: str, others: list[str]) -> None:
    known = import_graph(depth=2)[f"{room}/"]
    assert known.isdisjoint(f"{other}/" for other in others), known


def test_imports_between_rooms_make_no_circle() -> None:
    graph = import_graph()
    assert {"steps/", "delivery/", "report.py", "configure.py"} <= graph.keys()
    assert circles(graph) == []


def test_a_circle_is_found_and_what_stands_above_it_is_no_part_of_it() -> None:
    graph = {"a/": {"b/", "d.py"}, "b/": {"c/"}, "c/": {"b/"}, "d.py": set()}
    assert circles(graph) == ["b/", "c/"]
    assert layers(graph) == [["d.py"]]
    assert as_text(graph).splitlines()[0] == "circle: b/ c/"


def test_a_room_stands_on_the_floor_above_what_it_imports() -> None:
    graph = {"a/": {"b/", "d.py"}, "b/": {"d.py"}, "d.py": set()}
    assert layers(graph) == [["d.py"], ["b/"], ["a/"]]
    assert as_text(graph).splitlines() == ["3", "   a/    b/ d.py", "2", "   b/    d.py", "1", "   d.py"]
    assert '  "a/" -> "b/";' in as_dot(graph).splitlines()


@pytest.mark.parametrize(
    ("name", "depth", "room"),
    [
        ("failpath_otel.delivery.http.channel.Channel", 1, "delivery/"),
        ("failpath_otel.delivery.http.channel.Channel", 2, "delivery/http/"),
        ("failpath_otel.delivery.pipeline", 2, "delivery/"),
        ("failpath_otel.limits", 2, "limits.py"),
        ("failpath_otel.configure", 1, "configure.py"),
        ("failpath_otel.Failpath", 1, "__init__.py"),
        ("opentelemetry.trace", 1, None),
    ],
)
def test_a_name_belongs_to_the_room_that_its_module_is_in(name: str, depth: int, room: str | None) -> None:
    assert room_of(name, depth) == room


def test_the_drawing_of_imports_is_printed_as_text_without_a_circle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["imports"])
    runpy.run_path(str(ROOT / "tools" / "imports.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert shown == as_text(import_graph()) + "\n"
    assert "circle" not in shown


@pytest.mark.parametrize(
    "source", [path for path in sources() if path.name == "__init__.py"], ids=lambda path: path.parent.name
)
def test_init_files_hold_no_code(source: Path) -> None:
    first, *others = tree(source).body
    assert isinstance(first, ast.Expr), "an __init__ file begins with a docstring"
    for node in others:
        is_all = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "typing.TYPE_CHECKING"
        assert is_all or is_for_types or isinstance(node, (ast.Import, ast.ImportFrom)), ast.unparse(node)


def test_nothing_of_opentelemetry_that_is_private_is_imported() -> None:
    private = [
        f"{source.relative_to(ROOT)}: {name}"
        for source in sources()
        for name in imports(source)
        if name.startswith("opentelemetry.") and any(part.startswith("_") for part in name.split("."))
    ]
    assert private == []


@pytest.mark.parametrize("ending", [".py", ".js", ".css"])
def test_no_file_is_much_longer_than_300_lines(ending: str) -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in own_files(ending)}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_the_route_and_the_header_names_stand_in_the_module_of_the_request_alone() -> None:
    rooms = [source for source in sources() if source.parent != PACKAGE]  # what users read says it as well
    knowing = [source.name for source in rooms if "/v1/events" in source.read_text(encoding="utf-8")]
    assert knowing == ["request.py"]


def test_one_function_writes_span_events() -> None:
    calls = [
        str(source.relative_to(PACKAGE))
        for source in sources()
        for node in ast.walk(tree(source))
        if isinstance(node, ast.Attribute) and node.attr in {"add_event", "record_exception"}
    ]
    assert calls == ["steps/span_events.py"]
