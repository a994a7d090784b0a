"""A run that goes on in another service by headers."""

import logging
import os
import re
from collections.abc import Iterator
from email.message import Message
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel import Failpath, Run, report
from failpath_otel.testing import MockFailpath
from tests.recording import Recording, identity

FLOW, RUN = "failpath-flow-key", "failpath-run-id"
SENT = {FLOW: "checkout", RUN: "req-1"}
PRINTABLE = st.text(min_size=1, max_size=200).filter(str.isprintable)
GENERATED = re.compile("[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def _all_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture
def failpath(recording: Recording) -> Failpath:
    return recording.failpath


def names(run: Run) -> tuple[str, str]:
    return run.flow_key, run.run_id


def test_headers_name_the_flow_and_the_run_and_nothing_else(failpath: Failpath) -> None:
    run = failpath.run("checkout", run_id="order 17/ü", metadata={"email": "a@example.com"})

    assert run.headers() == {FLOW: "checkout", RUN: "order%2017%2F%C3%BC"}
    assert run.headers() is not run.headers()


def test_steps_of_a_run_from_headers_are_those_of_the_other_services_run(recording: Recording) -> None:
    run = recording.failpath.run_from_headers(recording.run(metadata={"a": 1}).headers(), metadata={"b": 2})
    run.step("pack", lambda: None)

    assert identity(recording.only()) == ("checkout", "req-1", "pack")
    assert "failpath.metadata.a" not in (recording.only().attributes or {})
    assert (recording.only().attributes or {})["failpath.metadata.b"] == 2


def test_the_client_for_tests_reads_headers_as_well() -> None:
    mock = MockFailpath()
    mock.run_from_headers(mock.run("checkout", run_id=17).headers()).skip("receipt")

    assert [(event.flow_key, event.run_id) for event in mock.events] == [("checkout", "17")]
    mock.shutdown(0)


@given(PRINTABLE, PRINTABLE)
def test_every_printable_name_comes_back_as_it_was(flow: str, run_id: str) -> None:
    failpath = Failpath()
    headers = failpath.run(flow, run_id=run_id).headers()

    assert all(value.isascii() and value.isprintable() and not set(value) & set(' ,;="') for value in headers.values())
    assert names(failpath.run_from_headers(headers)) == (flow, run_id)


def as_message() -> Message:
    message = Message()
    for name, value in SENT.items():
        message[name.title()] = value
    return message


def as_environ() -> dict[str, Any]:
    environ: dict[str, Any] = {"HTTP_FAILPATH_FLOW_KEY": "checkout", "HTTP_FAILPATH_RUN_ID": "req-1"}
    setup_testing_defaults(environ)
    return environ


class Items:
    """Headers that are no mapping, as those of older versions of Werkzeug."""

    def items(self) -> Iterator[tuple[str, str]]:
        return iter(SENT.items())


SHAPES: dict[str, Any] = {
    "a dictionary": SENT,
    "names in any case": {"Failpath-Flow-Key": "checkout", "FAILPATH-RUN-ID": "req-1"},
    "a WSGI environment": as_environ(),
    "an ASGI scope's pairs": [(b"host", b"\xff"), (b"failpath-flow-key", b"checkout"), (b"failpath-run-id", b"req-1")],
    "pairs as lists, as JSON has them": [[FLOW, "checkout"], [RUN, "req-1"]],
    "gRPC metadata": ((FLOW, "checkout"), (RUN, "req-1")),
    "an HTTP message": as_message(),
    "what only has items": Items(),
    "bytes": {FLOW: b"checkout", RUN: bytearray(b"req-1")},
    "bytes as names": {FLOW.encode(): b"checkout", RUN.encode(): memoryview(b"req-1")},
    "lists of values": {FLOW: ["checkout"], RUN: (b"req-1",)},
    "the same value again": {FLOW: ["checkout", "checkout"], RUN: "req-1, req-1"},
    "message attributes of boto3": {
        FLOW: {"DataType": "String", "StringValue": "checkout"},
        RUN: {"DataType": "String", "StringValue": "req-1"},
    },
    "message attributes of a Lambda event": {
        FLOW: {"dataType": "String", "stringValue": "checkout", "binaryListValues": []},
        RUN: {"dataType": "String", "stringValue": "req-1"},
    },
    "message attributes of SNS": {
        FLOW: {"Type": "String", "Value": "checkout"},
        RUN: {"Type": "String", "Value": "req-1"},
    },
}


@pytest.mark.parametrize("headers", SHAPES.values(), ids=SHAPES.keys())
def test_headers_are_read_in_the_shape_in_which_servers_and_queues_hand_them_over(
    failpath: Failpath, headers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert names(failpath.run_from_headers(headers)) == ("checkout", "req-1")
    assert caplog.records == []


def test_the_variables_of_cgi_are_read(failpath: Failpath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_FAILPATH_FLOW_KEY", "checkout")
    monkeypatch.setenv("HTTP_FAILPATH_RUN_ID", "req-1")

    assert names(failpath.run_from_headers(os.environ)) == ("checkout", "req-1")


@pytest.mark.parametrize("variables", [{}, {"REQUEST_METHOD": "GET"}, {"wsgi.multithread": "1"}])
def test_a_header_with_the_name_of_a_variable_names_no_run_because_no_proxy_removes_it(
    failpath: Failpath, variables: dict[str, str]
) -> None:
    headers = {**variables, "HTTP_FAILPATH_FLOW_KEY": "refund", "http_failpath_run_id": "req-1"}
    for shape in (headers, list(headers.items()), [(name.encode(), text.encode()) for name, text in headers.items()]):
        run = failpath.run_from_headers(shape, flow="shipping")

        assert run.flow_key == "shipping"
        assert GENERATED.fullmatch(run.run_id)


REFUSED: dict[str, Any] = {
    "too long": "x" * 201,
    "far too long": "x" * 10_000_000,
    "far too long, in bytes": b"x" * 10_000_000,
    "too long once decoded": "%C3%BC" * 201,
    "a line break": "req-1%0D%0ASet-Cookie: a=b",
    "a raw line break": "req-1\r\nSet-Cookie: a=b",
    "a null byte": "req%00",
    "an escape sequence": "req%1B[2J",
    "text that turns its direction": "req%E2%80%AE1",
    "not UTF-8": "req-%FF",
    "half of a surrogate pair": "%ED%A0%80",
    "not encoded": "bestellung-ü",
    "bytes beyond ASCII": b"\xc3\xbc",
    "a number": 17,
    "a truth value": True,
    "an object": object(),
    "a mapping of something else": {"id": "req-1"},
    "a list of a wrong type": [17],
    "a list in a list": [["req-1"]],
    "several that contradict each other": ["req-1", "req-2"],
    "several in one": "req-1,req-2",
    "one that is empty beside one that is not": ["", "req-1"],
    "very many": ["req-1"] * 1000,
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_run_id_is_refused_a_new_one_is_generated_and_that_is_said_once(
    failpath: Failpath, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [failpath.run_from_headers({FLOW: "checkout", RUN: value}) for _ in range(2)]

    assert [run.flow_key for run in runs] == ["checkout", "checkout"]
    assert all(GENERATED.fullmatch(run.run_id) for run in runs)
    assert runs[0].run_id != runs[1].run_id
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Failpath: a run id from another process is refused: it")
    assert "req" not in record.getMessage()


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_in_place_of_a_bad_flow_key_stands_the_one_of_the_service(
    failpath: Failpath, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = failpath.run_from_headers({FLOW: value, RUN: "req-1"}, flow="shipping")

    assert names(run) == ("shipping", "req-1")
    assert [record.getMessage()[:28] for record in caplog.records] == ["Failpath: a flow key from an"]


def test_spellings_of_one_header_that_contradict_each_other_are_refused(failpath: Failpath) -> None:
    run = failpath.run_from_headers({**SENT, "Failpath-Run-Id": "req-2"})

    assert run.flow_key == "checkout"
    assert GENERATED.fullmatch(run.run_id)


class Hostile:
    """Headers of which everything raises."""

    def items(self) -> Any:
        raise RuntimeError(self.quoted())

    def quoted(self) -> str:
        return "customer: basket 17"


class Text(str):
    """A text that lies."""

    __slots__ = ()

    def lower(self) -> str:
        raise RuntimeError("no")


NO_HEADERS: dict[str, Any] = {
    "a number": 17,
    "a text": "failpath-run-id: a",
    "bytes": b"x",
    "an object": object(),
    "what raises": Hostile(),
    "a name that raises": {Text(RUN): "a"},
    "no pairs": [17, "ab", (1, 2, 3), None],
    "names that are no texts": {1: 2, None: None},
}


@pytest.mark.parametrize("headers", NO_HEADERS.values(), ids=NO_HEADERS.keys())
def test_what_are_no_headers_is_taken_for_none(failpath: Failpath, headers: Any) -> None:
    run = failpath.run_from_headers(headers, flow="shipping")

    assert run.flow_key == "shipping"
    assert GENERATED.fullmatch(run.run_id)


def test_what_headers_say_when_they_raise_is_not_logged(failpath: Failpath, caplog: pytest.LogCaptureFixture) -> None:
    failpath.run_from_headers(Hostile(), flow="shipping")

    [record] = caplog.records
    assert "in items" in record.getMessage()
    assert "basket" not in record.getMessage()


@pytest.mark.parametrize("headers", [None, {}, [], {"host": "example.com"}, {FLOW: "", RUN: ""}, {FLOW: None, RUN: []}])
def test_without_headers_a_new_run_of_the_services_own_flow_begins_and_nothing_is_said(
    failpath: Failpath, headers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = failpath.run_from_headers(headers, flow="shipping")

    assert run.flow_key == "shipping"
    assert GENERATED.fullmatch(run.run_id)
    assert caplog.records == []


def test_without_any_flow_key_the_flow_is_unknown_and_that_is_said_once(
    failpath: Failpath, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [failpath.run_from_headers({RUN: "req-1"}) for _ in range(2)]

    assert [names(run) for run in runs] == [("unknown", "req-1")] * 2
    [record] = caplog.records
    assert "Set it by flow=" in record.getMessage()


def test_the_flow_of_the_headers_goes_before_the_services_own(failpath: Failpath) -> None:
    assert failpath.run_from_headers(SENT, flow="shipping").flow_key == "checkout"


@pytest.mark.parametrize(("flow", "error"), [("", ValueError), ("x" * 201, ValueError), (17, TypeError)])
def test_a_wrong_flow_of_the_services_own_raises_at_once(failpath: Failpath, flow: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="flow must"):
        failpath.run_from_headers(SENT, flow=flow)


def test_a_value_that_is_far_too_long_is_refused_before_it_is_decoded(
    failpath: Failpath, caplog: pytest.LogCaptureFixture
) -> None:
    failpath.run_from_headers({FLOW: "checkout", RUN: "%" * 2401})

    [record] = caplog.records
    assert record.getMessage().endswith("it is too long.")


OTHERS: dict[str, Any] = {
    "a mapping": {"X-Request-ID": "req-9"},
    "pairs of bytes, as in ASGI": [(b"x-request-id", b"req-9")],
    "a list of values": {"x-request-id": ["req-9", " req-9 "]},
    "the variables of WSGI": {"HTTP_X_REQUEST_ID": "req-9", "wsgi.multithread": False},
}


@pytest.mark.parametrize("headers", OTHERS.values(), ids=OTHERS.keys())
def test_the_run_id_of_a_request_without_a_run_is_the_text_of_the_header_that_the_service_names(
    failpath: Failpath, headers: Any
) -> None:
    run = failpath.run_from_headers(headers, flow="shop", run_id_header="X-Request-Id", run_id="job-1")
    assert names(run) == ("shop", "req-9")


def test_the_text_of_that_header_is_taken_as_it_is_because_others_do_not_encode_it(failpath: Failpath) -> None:
    run = failpath.run_from_headers({"x-request-id": "a%20b, 100%"}, flow="shop", run_id_header="x-request-id")
    assert run.run_id == "a%20b, 100%"


def test_the_run_id_of_the_calling_service_goes_before_that_header(failpath: Failpath) -> None:
    sent = {**SENT, "x-request-id": "req-9"}
    assert failpath.run_from_headers(sent, run_id_header="X-Request-Id").run_id == "req-1"


@pytest.mark.parametrize(
    "value", ["r" * 201, "req-1\r\nSet-Cookie: a=b", "\x1b[2J", "bestellung-ü", b"\xc3\xbc", 17, ["req-1", "req-2"], ""]
)
def test_a_bad_value_of_that_header_is_no_run_id(
    failpath: Failpath, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [failpath.run_from_headers({"X-Request-Id": value}, flow="f", run_id_header="X-Request-Id")] * 2
    assert all(GENERATED.fullmatch(run.run_id) for run in runs)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (value != "")
    assert all("is refused" in line and "req" not in line for line in said)


def test_the_services_own_run_id_is_for_messages_without_one(failpath: Failpath) -> None:
    assert names(failpath.run_from_headers(None, flow="receipts", run_id=17)) == ("receipts", "17")
    assert names(failpath.run_from_headers(SENT, flow="receipts", run_id=17)) == ("checkout", "req-1")
    assert failpath.run_from_headers({RUN: "%00"}, flow="receipts", run_id=17).run_id == "17"


@pytest.mark.parametrize(
    ("header", "error"), [("", ValueError), ("x" * 201, ValueError), (17, TypeError), ("X-Api-Key", ValueError)]
)
def test_a_wrong_name_of_that_header_raises_at_once(failpath: Failpath, header: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="run_id_header must"):
        failpath.run_from_headers(SENT, run_id_header=header)
