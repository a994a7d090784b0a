"""README.md and docs/: their code is run, their tables and links are true. ``docs/pages.py`` has the conventions."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from failpath_otel import FailpathSpanExporter, FailpathSpanProcessor, configure, semconv
from failpath_otel.options.options import OPTIONS
from tests.docs.pages import DECISIONS, DOCS, PAGES, ROOT, page_name, read_page
from tests.docs.running import environment, run_page, run_program
from tests.fault_server import Exchange, FaultServer, accepted, fault_server, status

TRACES: Final = "/v1/traces"

DELIVERED: Final = {
    "README.md": {
        *("validate-cart running", "validate-cart success", "charge-card running", "charge-card success"),
        *("send-receipt-email skipped", "ship-order success"),
    },
    "guides/otlp-backends.md": {"charge-card running", "charge-card success", "pack success", "resize running"},
    "guides/services.md": {"print-label success"},
    "guides/typed-keys.md": {"charge-card running", "charge-card success"},
    "reference/metrics.md": {"charge-card running", "charge-card success"},
    "reference/options/delivery.md": {"charge-card running", "charge-card success", "send-receipt-email skipped"},
    "reference/options/errors.md": {"send-receipt-email skipped"},
    "reference/options/index.md": {"charge-card running", "charge-card success", "send-receipt-email skipped"},
    "reference/options/requests.md": {"charge-card running", "charge-card error", "send-receipt-email skipped"},
    "reference/options/retries.md": {"send-receipt-email skipped"},
}
"""What the programs of a page deliver to Failpath, among other things."""

BESIDE_OTHERS: Final = DOCS / "guides" / "existing-setups.md"
"""Run by ``tests/neighbours/test_page.py``, where the libraries are that it is about."""

RUN_ELSEWHERE: Final = {
    BESIDE_OTHERS,
    DOCS / "start.md",
    DOCS / "production" / "data-and-privacy.md",
    *DOCS.glob("recipes/*.md"),
}
"""Pages that have tests of their own in ``tests/docs/`` and ``tests/neighbours/``."""

NONE: Final = "\N{EN DASH}"
"""A cell of a table where there is nothing to say."""

by_name: Final = pytest.mark.parametrize("path", PAGES, ids=page_name)


def failpath() -> Callable[[Exchange], bool]:
    """A Failpath that refuses one key, is busy when it first sees another, and lacks a route. Takes OTLP as well."""
    seen: set[str] = set()

    def behave(exchange: Exchange) -> bool:
        key = exchange.request.headers.get("authorization", "")
        first = key not in seen
        seen.add(key)
        if key == "Bearer fp_project_revoked":
            return status(401)(exchange)
        if exchange.request.path == "/wrong":
            return status(404)(exchange)
        return status(503)(exchange) if first and key == "Bearer fp_project_busy" else accepted(exchange)

    return behave


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server(failpath()) as running:
        yield running


@pytest.mark.process
@pytest.mark.parametrize("path", [page for page in PAGES if page not in RUN_ELSEWHERE], ids=page_name)
def test_the_code_of_a_page_runs_prints_what_it_says_and_delivers(
    path: Path, tmp_path: Path, server: FaultServer
) -> None:
    run_page(read_page(path), tmp_path, environment(server))
    events = [event for request in server.requests if request.path != TRACES for event in request.events]
    assert DELIVERED.get(page_name(path), set()) <= {f"{event['stepKey']} {event['status']}" for event in events}


@pytest.mark.process
def test_the_steps_of_the_page_of_otlp_backends_are_spans_there(tmp_path: Path, server: FaultServer) -> None:
    run_page(read_page(DOCS / "guides" / "otlp-backends.md"), tmp_path, environment(server))
    bodies = [request.body for request in server.requests if request.path == TRACES]
    resources = [spans for body in bodies for spans in ExportTraceServiceRequest.FromString(body).resource_spans]
    scopes = [spans for resource in resources for spans in resource.scope_spans]
    assert {scope.scope.name for scope in scopes} == {"failpath_otel"}
    names = sorted(span.name for scope in scopes for span in scope.spans)
    assert names == ["charge-card", "checkout", "load", "nightly-report", "send", "sort"]


@pytest.mark.process
def test_the_page_of_options_hides_sends_and_changes_what_it_says(tmp_path: Path, server: FaultServer) -> None:
    page = read_page(DOCS / "reference" / "options" / "requests.md")
    chosen = [program for program in page.programs if "redact=" in program.code or "session=" in program.code]
    for program in chosen:
        run_program(program, tmp_path, environment(server))
    failed = next(event for event in server.events if event["status"] == "error")
    assert failed["metadata"] == {"email": "[hidden]"}
    assert failed["error"] == {"name": "ValueError", "message": "the card of [customer] was declined"}
    last = server.requests[-1]
    assert (last.path, last.headers["x-tenant"], last.headers["content-encoding"]) == ("/ingest", "shop", "gzip")


@by_name
def test_no_block_of_python_is_left_out(path: Path) -> None:
    page = read_page(path)
    assert page.languages.isdisjoint({"py", "python3", "pycon"})
    assert page.text.count("```") == 2 * len(re.findall(r"^```\w*\n.*?^```$", page.text, re.MULTILINE | re.DOTALL))
    for code in page.beside:
        ast.parse(code)
    if page.files:
        assert any(name.startswith("test_") for name in page.files)
    code = "\n".join([*page.files.values(), *(program.code for program in page.programs)])
    for name in page.files:
        module = name.removesuffix(".py")
        assert name.startswith(("test_", "conftest")) or re.search(rf"^(import|from) {module}\b", code, re.MULTILINE)


_SHELL: Final = re.compile(r"^```(sh|bash|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(language: str, block: str) -> Iterator[str]:
    """What a reader of the block types: in a ``console`` block what comes after a prompt, with its further lines."""
    if language != "console":
        yield block
        return
    lines = iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\") or command.partition("  #")[0].count("'") % 2:
                command += "\n" + next(lines)
            yield command


@pytest.mark.process
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_shell_understands_the_commands_of_all_pages() -> None:
    script = ""
    for path in PAGES:
        for language, block in _SHELL.findall(read_page(path).text):
            script += "".join(f": {page_name(path)}\n{command}\n" for command in commands(language, block))
    assert "curl" in script
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    said = "\n".join(f"{line} {script.splitlines()[int(line) - 1]}" for line in re.findall(r"line (\d+)", done.stderr))
    assert (done.returncode, done.stderr) == (0, ""), said


def option_table() -> dict[str, list[str]]:
    rows = read_page(DOCS / "reference" / "options" / "index.md").rows("option")
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def test_the_table_of_options_has_the_options_of_configure_in_their_order() -> None:
    names = list(inspect.signature(configure).parameters)
    assert list(option_table()) == names == [*(option.name for option in OPTIONS), "tracer_provider"]


def test_the_docstring_of_configure_explains_each_option_in_the_same_order() -> None:
    _, _, arguments = inspect.getdoc(configure).partition("\nArgs:\n")  # type: ignore[union-attr]
    arguments, _, _ = arguments.partition("\nRaises:\n")
    assert re.findall(r"^    (\w+): ", arguments, re.MULTILINE) == list(option_table())


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_table_of_options_has_the_variable_and_the_default(option: Any) -> None:
    variable, default, allowed, meaning = option_table()[option.name]
    named = [f"`{each}`" for each in (option.variable, option.synonym) if each is not None]
    assert variable == (" or ".join(named) or NONE)
    assert (None if default == NONE else ast.literal_eval(default.strip("`"))) == option.default
    assert allowed
    assert meaning


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "command"), [("guides/local/options.md", "local"), ("production/gateway.md", "gateway")]
)
def test_the_table_of_a_server_has_the_options_of_its_command_and_their_defaults(name: str, command: str) -> None:
    page = read_page(DOCS / name)
    table = {cells[0].strip("`"): cells[1].strip("`") for cells in page.rows("option")}
    shown = subprocess.run(
        [sys.executable, "-m", "failpath_otel.cli", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert set(table) == set(re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE))
    for option, default in table.items():
        if default.isdigit() or default.startswith(("127.", "FAILPATH_")):
            said = shown.partition(f"  {option}")[2].partition("\n  -")[0]
            assert default in said


def test_the_page_of_names_on_a_span_has_all_that_are_written_and_read() -> None:
    names = {name for name in vars(semconv) if name.isupper() and not name.startswith("STATUS")}
    values = [getattr(semconv, name) for name in sorted(names)]
    texts = {text for value in values for text in ([value] if isinstance(value, str) else value)} - set(
        semconv.STATUSES
    )
    written = read_page(DOCS / "reference" / "span-names.md").prose
    assert {text for text in texts if f"`{text}`" not in written and f"`{text}<key>`" not in written} == set()
    assert len(texts) > 20


@pytest.mark.parametrize("by_hand", [FailpathSpanProcessor, FailpathSpanExporter])
def test_those_who_wire_by_hand_have_the_options_that_the_page_says(by_hand: type) -> None:
    (given,) = get_args(inspect.signature(by_hand).parameters["options"].annotation)
    without = {"delivery", "throw_on_send_error", "tracer_provider"}
    assert set(option_table()) - without == set(given.__annotations__)


TEXTS: Final = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("path", [*TEXTS, *DECISIONS], ids=page_name)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(path: Path) -> None:
    for link in read_page(path).links:
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in read_page(target).anchors, link


@pytest.mark.parametrize("path", TEXTS, ids=page_name)
def test_every_file_that_is_named_exists(path: Path) -> None:
    page = read_page(path)
    for name in page.paths:
        places = (ROOT / name, ROOT / "failpath_otel" / name)
        assert name in page.files or any(place.exists() for place in places), name


def test_the_readme_names_the_oldest_python_and_sdk_that_are_supported() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    python, sdk = (re.search(rf'"?{name} ?[>=]+ ?"?[>=]*([\d.]+)"', project) for name in ("requires-python", "-sdk"))
    assert python
    assert sdk
    assert f"Python {python[1]} or newer, OpenTelemetry SDK {sdk[1]} or newer" in (ROOT / "README.md").read_text()
