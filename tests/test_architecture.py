"""Which room may know which: read from the source, so that an import inside a function counts as well."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import failpath_otel

PACKAGE = Path(failpath_otel.__file__).parent
ROOT = PACKAGE.parent


def sources(*rooms: str) -> list[Path]:
    """The source files of a room, or of the whole package; at least one, or the tests would show nothing."""
    found = sorted(PACKAGE.joinpath(*rooms).rglob("*.py"))
    assert found
    return found


def tree(source: Path) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"), str(source))


def imports(source: Path) -> Iterator[str]:
    """The full name of everything that a file imports, wherever in it."""
    parts = source.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*parts[: -node.level], *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


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
    "gateway": ["spans", "steps", "local"],
    "local": ["options", "spans", "steps", "delivery", "journal", "gateway"],
}
"""For each room, those that it must not know: they stand on it, or beside it."""

OF_OTHERS: Final = {
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
        ("steps", "failpath_otel.private_provider"),
    ],
)
def test_no_room_imports_what_it_must_not_know(room: str, forbidden: str) -> None:
    assert imported_by(room, forbidden) == []


def test_only_configure_knows_both_halves() -> None:
    # `joins.py` stands for `spans/`, of which it makes the reporter and the processor of a provider.
    knowing = []
    for source in sources():
        rooms = {name.split(".")[1] for name in imports(source) if name.startswith("failpath_otel.")}
        if "steps" in rooms and rooms & {"spans", "joins"}:
            knowing.append(source.name)
    assert [name for name in knowing if name != "__init__.py"] == ["configure.py"]


def test_no_folder_holds_more_than_16_modules() -> None:
    folders = {source.parent for source in sources()}
    modules = {folder.name: sum(path.stem != "__init__" for path in folder.glob("*.py")) for folder in folders}
    assert {name: count for name, count in modules.items() if count > 16} == {}


def test_imports_between_rooms_make_no_circle() -> None:
    known: dict[str, set[str]] = {}
    for source in sources():
        room, *below = source.relative_to(PACKAGE).parts
        if below:
            names = {name.split(".")[1] for name in imports(source) if name.startswith("failpath_otel.")}
            known.setdefault(room, set()).update(name for name in names - {room} if PACKAGE.joinpath(name).is_dir())
    while free := [room for room, names in known.items() if not names & known.keys()]:
        for room in free:
            del known[room]
    assert known == {}


@pytest.mark.parametrize(
    "source", [path for path in sources() if path.name == "__init__.py"], ids=lambda path: path.parent.name
)
def test_init_files_hold_no_code(source: Path) -> None:
    first, *others = tree(source).body
    assert isinstance(first, ast.Expr), "an __init__ file begins with a docstring"
    for node in others:
        is_all = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
        assert is_all or isinstance(node, ast.ImportFrom), ast.unparse(node)


def test_nothing_of_opentelemetry_that_is_private_is_imported() -> None:
    private = [
        f"{source.relative_to(ROOT)}: {name}"
        for source in sources()
        for name in imports(source)
        if name.startswith("opentelemetry.") and any(part.startswith("_") for part in name.split("."))
    ]
    assert private == []


def test_no_file_is_much_longer_than_300_lines() -> None:
    long = [source.name for source in sources() if len(source.read_text(encoding="utf-8").splitlines()) > 350]
    assert long == []


def test_the_route_and_the_header_names_stand_in_the_wire_module_alone() -> None:
    rooms = [source for source in sources() if source.parent != PACKAGE]  # what users read says it as well
    knowing = [source.name for source in rooms if "/v1/events" in source.read_text(encoding="utf-8")]
    assert knowing == ["wire.py"]


def test_one_function_writes_span_events() -> None:
    calls = [
        str(source.relative_to(PACKAGE))
        for source in sources()
        for node in ast.walk(tree(source))
        if isinstance(node, ast.Attribute) and node.attr in {"add_event", "record_exception"}
    ]
    assert calls == ["steps/span_events.py"]
