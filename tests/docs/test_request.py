"""``docs/production/data-and-privacy.md``: the request that it shows is the one that its program makes."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record
from tests.docs.pages import DOCS, read_page
from tests.docs.running import environment, run_page
from tests.fault_server import fault_server

PAGE: Final = DOCS / "production" / "data-and-privacy.md"
VARYING: Final = {"id", "timestamp", "startedAt", "durationMs", "traceId", "spanId", "pid", "host", "startTime"}


def shape(value: Any, name: str = "") -> Any:
    """A value without what is different each time; of that, how it is written."""
    if isinstance(value, dict):
        return {key: shape(each, key) for key, each in value.items()}
    if name == "id":
        return value[-1]
    if name in VARYING:
        return type(value) if name == "host" else re.sub(r"[0-9a-f]+", "0", str(value))
    return value


@pytest.mark.process
def test_the_page_shows_the_only_request_of_its_program_with_all_headers_and_fields(tmp_path: Path) -> None:
    page = read_page(PAGE)
    assert page.sent is not None
    assert page.headers is not None
    with fault_server() as server:
        run_page(page, tmp_path, environment(server))
    [request] = server.requests
    assert [shape(event) for event in request.events] == [shape(event) for event in json.loads(page.sent)["events"]]
    first, *rest = page.headers.splitlines()
    shown = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    assert first == f"{request.method} {request.path} HTTP/1.1"
    assert list(shown) == list(request.headers)
    here = {"host", "content-length", "user-agent"}
    assert re.sub(r"[\d.]+", "0", shown["user-agent"]) == re.sub(r"[\d.]+", "0", request.headers["user-agent"])
    assert {name: value for name, value in shown.items() if name not in here} == {
        name: value for name, value in request.headers.items() if name not in here
    }


def test_the_page_explains_each_field_of_a_record() -> None:
    named = [name for cells in read_page(PAGE).rows("field") for name in re.findall(r"`([\w.]+)`", cells[0])]
    nested = {"error": ErrorInfo, "process": ProcessInfo}
    fields = [
        f"{name}.{inner}" if name in nested else name
        for name in Record.__struct_encode_fields__
        for inner in (nested[name].__struct_encode_fields__ if name in nested else [""])
    ]
    assert sorted(set(named) - {"Authorization"}) == sorted(fields)
