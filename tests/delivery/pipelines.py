"""A pipeline whose delivery a test holds in its hand."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.records.record import Record
from failpath_otel.records.request import Answer

GONE = Answer("is gone", 410)
"""A failure that is final for a record, where the endpoint takes others."""

REJECTED = Answer(status=202, rejected=((0, "unknown flow"),))


class HeldDelivery:
    """Delivers to a list. While ``gate`` is not set, a send waits; ``answers`` says what becomes of each batch."""

    url = "http://127.0.0.1:9/held"

    def __init__(self, *, held: bool = False, answers: Sequence[Answer | Exception] = ()) -> None:
        self.batches: list[list[bytes]] = []
        self.gate = threading.Event()
        self.sending = threading.Event()
        self._answers = list(answers)
        if not held:
            self.gate.set()

    @property
    def records(self) -> list[bytes]:
        return [record for batch in self.batches for record in batch]

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
        self.batches.append(list(records))
        self.sending.set()
        assert self.gate.wait(30)
        answer = self._answers.pop(0) if self._answers else Answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Has no connections."""


@contextmanager
def pipeline(delivery: HeldDelivery, **options: Any) -> Iterator[Pipeline]:
    """A pipeline that is shut down at the end."""
    made = Pipeline(delivery, **options)
    try:
        yield made
    finally:
        delivery.gate.set()
        made.shutdown(10)


def numbered(number: int) -> bytes:
    return json.dumps({"number": number}).encode()


def a_record(size: int = 10, **fields: Any) -> bytes:
    """An encoded record with so many characters of metadata."""
    return msgspec.structs.replace(an_outcome(size)[1], **fields).to_json()


def an_outcome(size: int = 10) -> tuple[bytes, Record]:
    """An outcome as the processor hands it over: encoded, and as a record."""
    record = Record(
        id="0" * 32,
        flow_key="checkout",
        run_id="req-1",
        step_key="charge-card",
        status="success",
        timestamp="2023-11-14T22:13:20.123456Z",
        trace_id="a" * 32,
        span_id="b" * 16,
        metadata={"text": "x" * size},
    )
    return record.to_json(), record
