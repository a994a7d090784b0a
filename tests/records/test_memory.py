"""A process whose memory runs out: what is recorded in it never ends it."""

import ast
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel.records import record
from failpath_otel.records.record import decode, encode
from tests.delivery.programs import run_program
from tests.fault_server import FaultServer
from tests.records.test_record import a_record

WITHOUT_MEMORY = """
import resource
from pathlib import Path

import failpath_otel

failpath = failpath_otel.configure()
run = failpath.run("checkout", run_id="r")
# The record of each has a size of its own, because it depends on it which allocation fails.
contents = [{f"text {n}": "x" * 4_000 for n in range(1 + size % 8)} | {"rest": "y" * 97 * size} for size in range(40)]
held = [None] * 100_000
kept = 0
entered = 0


def work():
    global entered
    entered += 1
    return entered


def take_all_memory(size):
    # Down to blocks of this size: smaller ones are left.
    global kept
    while size >= 8_192:
        try:
            held[kept] = bytearray(size)
            kept += 1
        except MemoryError:
            size //= 2


for _ in range(5):
    run.step("with memory", work, metadata=contents[-1])
assert failpath.flush(20)
_, hard = resource.getrlimit(resource.RLIMIT_AS)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), hard))
take_all_memory(1 << 20)
for number in range(400):
    assert run.step("without memory", work, metadata=contents[number % 40]) == number + 6
    if number % 40 == 39:
        take_all_memory(65_536)
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
held.clear()

run.step("with memory again", work)
failpath.flush(30)
stats = failpath.stats()
print(entered, stats.accepted, stats.delivered, stats.waiting, stats.dropped.get("invalid", 0), len(stats.dropped))
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="how much memory is used is read in /proc")
def test_an_application_whose_memory_runs_out_while_it_records_goes_on_living_and_each_record_is_delivered_or_counted(
    server: FaultServer,
) -> None:
    # A process of its own, because the limit is one process's, and because a fault ends it.
    ended = run_program(WITHOUT_MEMORY, server.url, MALLOC_ARENA_MAX="1")
    assert ended.code == 0, ended
    entered, accepted, delivered, waiting, invalid, reasons = map(int, ended.lines[-1].split())
    assert (entered, waiting) == (406, 0)
    assert accepted == delivered == len(server.taken)
    # A start that could not be recorded counts as lost, even if it is recorded together with its end later.
    assert accepted + invalid >= 2 * 406
    assert reasons == (invalid > 0)


def test_a_record_for_whose_encoding_there_is_no_memory_keeps_its_identity_and_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = record._encode_into

    def short_of_memory(made: record.Record, buffer: bytearray) -> None:
        if len(made.metadata.get("text", "")) > 1_000:
            raise MemoryError
        real(made, buffer)

    monkeypatch.setattr(record, "_encode_into", short_of_memory)
    shown = decode(encode(a_record(metadata={"text": "x" * 4_000})))
    assert shown == a_record(metadata={"failpath.cut_down": "the record was too large"})


def test_a_record_that_is_made_in_the_midst_of_another_one_is_not_mixed_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = record._encode_into
    within: list[bytes] = []

    def interrupted(made: record.Record, buffer: bytearray) -> None:
        real(made, buffer)
        if made.run_id == "outer":  # as by a signal handler, before the bytes are copied
            within.append(encode(a_record(run_id="inner", metadata={"text": "y" * 3_000})))

    monkeypatch.setattr(record, "_encode_into", interrupted)
    outer = a_record(run_id="outer", metadata={"text": "x" * 2_000})
    assert decode(encode(outer)) == outer
    assert decode(within[0]) == a_record(run_id="inner", metadata={"text": "y" * 3_000})


def test_threads_that_encode_at_the_same_time_do_not_mix_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    interval = sys.getswitchinterval()
    mixed: list[Any] = []

    def encode_many(number: int) -> None:
        made = a_record(run_id=f"r{number}", metadata={"text": chr(97 + number) * (700 * number)})
        mixed.extend(found for _ in range(2_000) if (found := decode(encode(made))) != made)

    try:
        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=encode_many, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert mixed == []
    assert 1 <= len(record._buffers) <= 5


def test_records_for_whose_request_there_is_no_memory_are_sent_when_there_is(server: FaultServer) -> None:
    calls: list[int] = []

    def payload(records: Sequence[dict[str, Any]]) -> object:
        calls.append(len(records))
        if len(calls) == 1:
            raise MemoryError
        return {"events": records}

    client = failpath_otel.configure(
        project_key="fp_project_memory",
        endpoint=server.url,
        payload=payload,
        tracer_provider=TracerProvider(shutdown_on_exit=False),
    )
    client.run("checkout").step("pack", str)
    assert client.flush(20)
    assert calls == [calls[0]] * len(calls)  # and not searched for the one that is refused
    stats = client.stats()
    client.shutdown()
    assert (stats.delivered, stats.dropped, len(server.taken)) == (2, {}, 2)


def test_no_module_of_export_encodes_by_the_function_in_which_a_lack_of_memory_ends_the_process() -> None:
    found = [
        (path.name, node.lineno)
        for path in (Path(failpath_otel.__file__).parent / "records").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "encode" and "msgspec" in ast.unparse(node.value)
    ]
    assert found == []
