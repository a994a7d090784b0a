"""Bodies that arrive compressed, over real sockets: what is read, what is refused, and what that costs."""

import gzip
import http.client
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel.local.api.events import MAX_BODY_BYTES
from tests.local.events import event, wire
from tests.receiver import Answer, Receiver

GOOD = json.dumps({"events": []}).encode()
MIB = 1_048_576


def refusal(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/json"
    (name,) = answer.json()
    assert name == "error"
    return str(answer.json()["error"])


def body_of(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": events}).encode()


def bomb(size: int, head: bytes = b"") -> bytes:
    """``size`` bytes in a thousandth of them, made without holding them."""
    compressor = zlib.compressobj(9, wbits=31)
    parts = [compressor.compress(head)]
    parts += [compressor.compress(b" " * MIB) for _ in range(size // MIB)]
    return b"".join([*parts, compressor.flush()])


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "identity, gzip"])
def test_a_gzipped_body_is_taken_as_if_it_were_plain(receiver: Receiver, coding: str) -> None:
    body = body_of(wire(event("running", 1, cart=7)), wire(event("success", 2, started=1)), {"status": "nonsense"})
    answer = receiver.send(gzip.compress(body), Content_Encoding=coding)
    assert answer.status == 202
    assert answer.json()["accepted"] == 2
    assert [entry["index"] for entry in answer.json()["rejected"]] == [2]
    assert [step["status"] for step in (receiver.run("run-1") or {})["steps"]] == ["success"]


def test_what_the_library_compresses_the_receiver_shows(receiver: Receiver) -> None:
    client = failpath_otel.configure(
        project_key=receiver.key,
        endpoint=receiver.url,
        compression="gzip",
        tracer_provider=NoOpTracerProvider(),
    )
    client.run("checkout", run_id="compressed").step("pay", lambda: None)
    assert client.shutdown()
    assert [step["status"] for step in (receiver.run("compressed") or {})["steps"]] == ["success"]


def test_a_gzipped_body_in_several_parts_is_one_body(shared_receiver: Receiver) -> None:
    body = body_of(wire(event("skipped", 1, run="in parts")))
    answer = shared_receiver.send(gzip.compress(body[:20]) + gzip.compress(body[20:]), Content_Encoding="gzip")
    assert (answer.status, answer.json()["accepted"]) == (202, 1)


def test_a_body_of_the_largest_size_when_decompressed_is_taken_and_one_byte_more_is_not(
    shared_receiver: Receiver,
) -> None:
    assert shared_receiver.send(gzip.compress(GOOD.ljust(MAX_BODY_BYTES)), Content_Encoding="gzip").status == 202
    answer = shared_receiver.send(gzip.compress(GOOD.ljust(MAX_BODY_BYTES + 1)), Content_Encoding="gzip")
    assert answer.status == 413
    assert str(MAX_BODY_BYTES) in refusal(answer)


def test_a_compressed_body_that_is_itself_too_large_is_refused(shared_receiver: Receiver) -> None:
    answer = shared_receiver.send(gzip.compress(b" " * (MAX_BODY_BYTES + 1), 0), Content_Encoding="gzip")
    assert answer.status == 413


def test_bad_input_a_zip_bomb_is_refused_and_costs_the_receiver_no_memory(receiver: Receiver) -> None:
    assert receiver.send(gzip.compress(GOOD), Content_Encoding="gzip").status == 202
    before = _peak_bytes(receiver.process.pid)
    # 1 GiB in 1 MiB; were it decompressed to its end, the peak would say so.
    body = bomb(1024 * MIB, b'{"events":[')
    assert len(body) < MAX_BODY_BYTES
    assert receiver.send(body, Content_Encoding="gzip").status == 413
    if before is not None:
        assert (_peak_bytes(receiver.process.pid) or 0) - before < 64 * MIB
    assert receiver.post(wire(event("running", 1))).status == 202


def test_bad_input_a_zip_bomb_in_chunks_is_refused_too(shared_receiver: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared_receiver.port, timeout=10)
    body = bomb(64 * MIB)
    chunks = [body[at : at + 4096] for at in range(0, len(body), 4096)]
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    try:
        connection.request("POST", "/v1/events", iter(chunks), headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    finally:
        connection.close()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(GOOD, id="plain"),
        pytest.param(zlib.compress(GOOD), id="zlib"),
        pytest.param(gzip.compress(GOOD)[:-1], id="cut in the checksum"),
        pytest.param(gzip.compress(GOOD)[:15], id="cut in the data"),
        pytest.param(gzip.compress(GOOD)[:5], id="cut in the header"),
        pytest.param(gzip.compress(GOOD) + b"more", id="followed by something else"),
        pytest.param(gzip.compress(GOOD)[:-8] + b"\xff" * 8, id="wrong checksum"),
        pytest.param(gzip.compress(GOOD)[:10] + b"\xff" * 20, id="broken data"),
    ],
)
def test_bad_input_broken_gzip_is_refused_in_words(shared_receiver: Receiver, body: bytes) -> None:
    answer = shared_receiver.send(body, Content_Encoding="gzip")
    assert answer.status == 400
    assert refusal(answer).startswith("the body cannot be decompressed: ")


@pytest.mark.parametrize("content", [b"", b"7", b'{"events": [', b'{"events": [{"a": "\xff"}]}'])
def test_bad_input_gzip_around_something_that_is_no_list_of_events_is_refused(
    shared_receiver: Receiver, content: bytes
) -> None:
    answer = shared_receiver.send(gzip.compress(content), Content_Encoding="gzip")
    assert answer.status == 400
    assert refusal(answer)


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "br, gzip", "gzip;q=1", "x", "*"])
def test_bad_input_another_encoding_is_refused_with_the_one_that_is_taken(
    shared_receiver: Receiver, coding: str
) -> None:
    answer = shared_receiver.send(gzip.compress(GOOD), Content_Encoding=coding)
    assert answer.status == 415
    assert "gzip" in refusal(answer)
    assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("codings", [("gzip", "br"), ("br", "gzip"), ("identity", "gzip", "gzip")])
def test_bad_input_encodings_in_several_headers_count_together(
    shared_receiver: Receiver, codings: tuple[str, ...]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared_receiver.port, timeout=10)
    try:
        connection.putrequest("POST", "/v1/events")
        for name, value in (("Authorization", "Bearer x"), ("Content-Type", "application/json")):
            connection.putheader(name, value)
        for coding in codings:
            connection.putheader("Content-Encoding", coding)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        assert connection.getresponse().status == 415
    finally:
        connection.close()


def _peak_bytes(pid: int) -> int | None:
    """The most memory that a process has ever held, where the operating system shows it in ``/proc``."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
