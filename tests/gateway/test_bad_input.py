"""What a gateway refuses: row by row, and it lives on, in bounded memory."""

import gzip
import json
import select
import socket
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES
from failpath_otel.serving.body import MAX_DISCARDED_BYTES
from tests.gateway.gateways import Gateway
from tests.gateway.requests import JSON, PROTOBUF, attribute, json_request, json_span, protobuf_of
from tests.receiver import wait_for
from tests.spans.foreign import a_span

STEP: Final = protobuf_of([a_span()])
MOST_RESIDENT: Final = 512 * 1_048_576


def bomb(size: int) -> bytes:
    """Zeros that were compressed, without ever having been there."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1_048_576)
    return b"".join([compressor.compress(block) for _ in range(size // len(block))]) + compressor.flush()


def resident(gateway: Gateway) -> int:
    """The most memory that the process has ever had, in bytes."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def still_works(gateway: Gateway) -> bool:
    return gateway.send(STEP).status == 200


REFUSED: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("garbage as protobuf", b"\xff\xfe garbage", {}, 400, "no ExportTraceServiceRequest"),
    ("protobuf cut short", STEP[:-3], {}, 400, "no ExportTraceServiceRequest"),
    ("protobuf said to be JSON", STEP, {"Content_Type": JSON}, 400, "no ExportTraceServiceRequest"),
    ("JSON said to be protobuf", json_request(json_span()), {}, 400, "no ExportTraceServiceRequest"),
    ("no JSON", b"{", {"Content_Type": JSON}, 400, "no ExportTraceServiceRequest"),
    ("nothing, as JSON", b"", {"Content_Type": JSON}, 400, "no ExportTraceServiceRequest"),
    ("a JSON list", b"[]", {"Content_Type": JSON}, 400, "Expected `object`, got `array`"),
    ("a field of a wrong type", b'{"resourceSpans":{}}', {"Content_Type": JSON}, 400, "$.resourceSpans"),
    ("JSON nested without end", b'{"resourceSpans":' + b"[" * 100_000, {"Content_Type": JSON}, 400, ""),
    (
        "values nested without end",
        json_request(json_span()).replace(
            b'{"stringValue": "checkout"}', b'{"arrayValue":{"values":[' * 5_000 + b"{}" + b"]}}" * 5_000
        ),
        {"Content_Type": JSON},
        400,
        "recursion",
    ),
    ("no Content-Type", STEP, {"Content_Type": ""}, 415, "application/x-protobuf"),
    ("a wrong Content-Type", STEP, {"Content_Type": "text/plain"}, 415, "application/x-protobuf"),
    ("gRPC", STEP, {"Content_Type": "application/grpc"}, 415, "application/x-protobuf"),
    ("an unknown coding", STEP, {"Content_Encoding": "zstd"}, 415, "gzip"),
    ("two codings", STEP, {"Content_Encoding": "gzip, gzip"}, 415, "gzip"),
    ("gzip that is none", STEP, {"Content_Encoding": "gzip"}, 400, "cannot be decompressed"),
    ("gzip cut short", gzip.compress(STEP)[:-9], {"Content_Encoding": "gzip"}, 400, "cannot be decompressed"),
    (
        "gzip with a wrong checksum",
        gzip.compress(STEP)[:-8] + bytes(8),
        {"Content_Encoding": "gzip"},
        400,
        "data check",
    ),
    ("gzip in too many parts", gzip.compress(b"") * 101, {"Content_Encoding": "gzip"}, 400, "more than 100 parts"),
    ("a body that is too large", bytes(MAX_BODY_BYTES + 1), {}, 413, "larger than"),
    ("a gzip bomb", bomb(1 << 30), {"Content_Encoding": "gzip"}, 413, "when it is decompressed"),
    ("a page in a browser", STEP, {"Origin": "http://127.0.0.1:4318"}, 403, "web pages"),
    ("a page without an origin", STEP, {"Origin": "null"}, 403, "web pages"),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_bad_input_is_refused_with_a_reason_in_the_encoding_of_the_request(
    shared_gateway: Gateway, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    kind = headers.get("Content_Type", PROTOBUF)
    answer = shared_gateway.send(body, kind, **{name: text for name, text in headers.items() if name != "Content_Type"})
    assert answer.status == status
    assert reason.encode() in answer.body
    expected = PROTOBUF if kind == PROTOBUF else JSON
    assert answer.headers["content-type"] == expected
    if expected == JSON:
        assert answer.json()["code"] in {3, 8}
    assert still_works(shared_gateway)
    assert resident(shared_gateway) < MOST_RESIDENT


@pytest.mark.parametrize("size", [100_000_000, MAX_DISCARDED_BYTES + 1])
def test_bad_input_a_body_that_is_announced_as_huge_is_refused_before_it_is_read(
    shared_gateway: Gateway, size: int
) -> None:
    host, port = shared_gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert still_works(shared_gateway)


def test_bad_input_a_large_body_that_is_refused_at_once_does_not_cost_its_sender_the_answer(
    shared_gateway: Gateway,
) -> None:
    # urllib wants the connection closed afterwards, and sends all before it reads.
    answer = shared_gateway.send(bytes(MAX_BODY_BYTES), "text/plain")
    assert answer.status == 415
    assert still_works(shared_gateway)


def test_bad_input_a_hundred_megabytes_in_chunks_are_refused(shared_gateway: Gateway) -> None:
    host, port = shared_gateway.url.removeprefix("http://").split(":")
    block = bytes(1_000_000)
    with socket.create_connection((host, int(port)), 30) as connection:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        try:
            for _ in range(100):
                connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))
            connection.sendall(b"0\r\n\r\n")
        except ConnectionError:
            pass  # the gateway has refused the rest
        else:
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert still_works(shared_gateway)
    assert resident(shared_gateway) < MOST_RESIDENT


def test_bad_input_many_large_bodies_at_once_are_refused_as_retryable(shared_gateway: Gateway) -> None:
    host, port = shared_gateway.url.removeprefix("http://").split(":")
    size = MAX_BODY_BYTES - 1
    head = f"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {size}\r\n\r\n"
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(5)]
        for connection in connections:
            connection.sendall(head.encode() + bytes(size - 1))
        # All but the last byte of five: there is room for four.
        ready, _, _ = select.select(connections, [], [], 30)
        [refused] = [connection for connection in connections if connection in ready]
        assert refused.recv(100).startswith(b"HTTP/1.1 503 ")
        assert resident(shared_gateway) < MOST_RESIDENT
    assert wait_for(lambda: still_works(shared_gateway))


EMPTY_SPANS: Final = b"\x12\x00" * (7 * 1_048_576)


def message(field: int, content: bytes) -> bytes:
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + content


KEYS: Final = (b"failpath.flow.key", b"failpath.step.key")
SPANS_IN_JSON: Final = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}'
STEP_KEY: Final = message(9, message(1, b"failpath.step.key"))
MANY: list[tuple[str, bytes, str, int, str]] = [
    ("resources", b"\x0a\x00" * (7 * 1_048_576), PROTOBUF, 413, "more than 100000 spans"),
    ("scopes", message(1, b"\x12\x00" * (7 * 1_048_576)), PROTOBUF, 413, "more than 100000 spans"),
    ("spans", message(1, message(2, EMPTY_SPANS)), PROTOBUF, 413, "more than 100000 spans"),
    (
        "attributes",
        message(1, message(2, message(2, STEP_KEY + b"\x4a\x00" * (7 * 1_048_576)))),
        PROTOBUF,
        200,
        "span 0: it is larger than 1048576 bytes",
    ),
    (
        "spans in JSON",
        SPANS_IN_JSON % (b"{}," * 5_000_000 + b"{}"),
        JSON,
        413,
        "more than 100000 spans",
    ),
    ("few spans too many in JSON", SPANS_IN_JSON % (b"{}," * 150_000 + b"{}"), JSON, 413, "more than 100000 spans"),
    ("numbers for spans in JSON", SPANS_IN_JSON % (b"1," * 8_000_000 + b"1"), JSON, 400, "Expected `object`"),
    ("lists for spans in JSON", SPANS_IN_JSON % (b"[]," * 5_000_000 + b"[]"), JSON, 400, "Expected `object`"),
    ("resources in JSON", b'{"resourceSpans":[' + b"{}," * 5_000_000 + b"{}]}", JSON, 413, "more than 100000 spans"),
]


@pytest.mark.parametrize(("body", "kind", "status", "reason"), [row[1:] for row in MANY], ids=[row[0] for row in MANY])
def test_bad_input_millions_of_empty_messages_take_bounded_memory(
    shared_gateway: Gateway, body: bytes, kind: str, status: int, reason: str
) -> None:
    assert len(body) <= MAX_BODY_BYTES
    answer = shared_gateway.send(body, kind)
    assert (answer.status, reason in answer.body.decode(errors="replace")) == (status, True)
    assert resident(shared_gateway) < MOST_RESIDENT
    assert still_works(shared_gateway)


UNUSABLE: list[tuple[str, dict[str, Any], str]] = [
    ("no trace id", {"traceId": None}, "it has no trace id"),
    ("a short trace id", {"traceId": "0af7"}, "trace id has 2 bytes, not 16"),
    ("a long trace id", {"traceId": "00" * 17}, "trace id has 17 bytes"),
    ("a trace id that is no number", {"traceId": "x" * 32}, "trace id is no hexadecimal number: JSON has 32"),
    ("half a digit too much", {"traceId": "0af7651916cd43dd8448eb211c80319c0"}, "trace id is no hexadecimal number"),
    ("a trace id in base64", {"traceId": "CvdlGRbNQ92ESOshHIAxnA=="}, "trace id is in Base64: JSON has 32 hexadecimal"),
    ("a trace id of zeros", {"traceId": "0" * 32}, "trace id is zero"),
    ("no span id", {"spanId": None}, "it has no span id"),
    ("a span id in base64", {"spanId": "APBnqgupAms="}, "span id is in Base64: JSON has 16 hexadecimal digits"),
    ("a span id that is very long", {"spanId": "g" * 100_000}, "span id is no hexadecimal number"),
    ("a short span id", {"spanId": "00f0"}, "span id has 2 bytes"),
    ("a span id of zeros", {"spanId": "0" * 16}, "span id is zero"),
    ("no start", {"startTimeUnixNano": None}, "no start time"),
    ("a start that is no number", {"startTimeUnixNano": "now"}, "no start time"),
    ("a negative start", {"startTimeUnixNano": "-1"}, "no start time"),
    ("a start beyond 64 bits", {"startTimeUnixNano": str(1 << 64)}, "no start time"),
    (
        "an empty step key",
        {"attributes": [attribute("failpath.flow.key", "a"), attribute("failpath.step.key", "")]},
        "no text, or empty",
    ),
    ("no flow key", {"attributes": [attribute("failpath.step.key", "a")]}, "no text, or empty"),
    (
        "a flow key that is a number",
        {
            "attributes": [
                {"key": "failpath.flow.key", "value": {"intValue": 1}},
                attribute("failpath.step.key", "a"),
            ]
        },
        "no text, or empty",
    ),
    ("a wrong type deep inside", {"traceId": 7}, "$.traceId"),
    ("a span that is too large", {"name": "x" * 1_048_577}, "larger than 1048576 bytes"),
    (
        "a start marker without a parent",
        {
            "attributes": [
                *json_span()["attributes"],
                {"key": "failpath.step.start_marker", "value": {"boolValue": True}},
            ]
        },
        "no parent",
    ),
    *[
        (
            f"a start marker whose parent is {parent}",
            {
                "parentSpanId": parent,
                "attributes": [
                    *json_span()["attributes"],
                    {"key": "failpath.step.start_marker", "value": {"boolValue": True}},
                ],
            },
            "no parent",
        )
        for parent in ("0" * 16, "00f0", "00" * 9)
    ],
]


@pytest.mark.parametrize(("fields", "reason"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
def test_bad_input_a_step_that_cannot_be_used_is_a_partial_success(
    shared_gateway: Gateway, fields: dict[str, Any], reason: str
) -> None:
    changed = {**json_span(), **fields}
    answer = shared_gateway.send(json_request(json_span(), changed), JSON)
    assert answer.status == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert partial["errorMessage"].startswith("span 1: ")
    assert reason in partial["errorMessage"]


TRACE_ID: Final = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")


def with_trace_id(trace_id: bytes) -> bytes:
    """A step in protobuf with a trace id of any form."""
    attributes = [message(9, message(1, key) + message(2, message(1, b"x"))) for key in KEYS]
    span = message(1, trace_id) + message(2, b"\x01" * 8) + b"\x39" + bytes([1] * 8) + b"".join(attributes)
    return message(1, message(2, message(2, span)))


BROKEN: list[tuple[str, bytes, str, str]] = [
    ("a trace id of 15 bytes", with_trace_id(TRACE_ID[1:]), PROTOBUF, "trace id has 15 bytes, not 16"),
    (
        "digits for bytes",
        with_trace_id(TRACE_ID.hex().encode()),
        PROTOBUF,
        "has 32 bytes, not 16, and looks like a text",
    ),
    ("a trace id of zeros in protobuf", with_trace_id(bytes(16)), PROTOBUF, "trace id is zero"),
    ("no trace id in protobuf", with_trace_id(b""), PROTOBUF, "it has no trace id"),
    ("a text that is no UTF-8", STEP.replace(b"charge-card", b"charge\xffcard"), PROTOBUF, "it is no span"),
]


@pytest.mark.parametrize(("body", "kind", "reason"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_bad_input_a_step_that_cannot_be_read_costs_no_other(
    shared_gateway: Gateway, body: bytes, kind: str, reason: str
) -> None:
    answer = shared_gateway.send(body, kind)
    assert answer.status == 200
    assert reason.encode() in answer.body
    assert still_works(shared_gateway)


@pytest.mark.parametrize("fields", [{"traceId": None}, {"spanId": "00"}, {"startTimeUnixNano": None}], ids=str)
def test_a_span_that_is_no_step_may_look_as_it_likes(shared_gateway: Gateway, fields: dict[str, Any]) -> None:
    answer = shared_gateway.send(json_request({**json_span(attributes=[]), **fields}), JSON)
    assert (answer.status, json.loads(answer.body)) == (200, {})


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/v1/traces/v1/traces", "POST", 404), ("/", "POST", 405), ("/v1/traces", "PUT", 405), ("/nothing", "GET", 404)],
)
@pytest.mark.parametrize("kind", [PROTOBUF, JSON, "application/protobuf", "text/html"])
def test_an_unknown_route_and_another_method_are_a_status_that_names_the_route(
    shared_gateway: Gateway, path: str, method: str, status: int, kind: str
) -> None:
    body = b"x" * 100_000 if method in {"POST", "PUT"} else None
    answer = shared_gateway.request(path, body, method, Content_Type=kind)
    assert answer.status == status
    assert b"spans are taken by POST at /v1/traces" in answer.body
    if "protobuf" in kind:
        assert answer.headers["content-type"] == kind
        assert answer.body.startswith(b"\x08\x0c"), "UNIMPLEMENTED of google.rpc.Code"
    else:
        assert answer.headers["content-type"] == JSON
        assert answer.json()["code"] == 12


def test_the_media_type_that_is_registered_for_protobuf_is_taken_and_answered(shared_gateway: Gateway) -> None:
    answer = shared_gateway.send(STEP, "application/protobuf")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", "application/protobuf")


def test_what_was_refused_is_counted(shared_gateway: Gateway) -> None:
    before = shared_gateway.health()["spans"]["refused"]
    shared_gateway.send(b"garbage")
    assert wait_for(lambda: shared_gateway.health()["spans"]["refused"] > before)
