"""Records of a program with several runs in flight, for the measurements of the local receiver."""

from collections.abc import Iterator
from random import Random
from typing import Final

from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status, record_id, rfc3339

FLOWS: Final = ("checkout", "refund", "nightly-import", "signup")
STEPS: Final = ("validate-cart", "reserve-stock", "charge-card", "create-shipment", "send-receipt-email")
RARE: Final = "WarehouseUnreachable"
"""The name of an error that one run in a thousand ends with."""

BEGIN_NS: Final = 1_700_000_000_000_000_000
_IN_FLIGHT: Final = 16
_STEP_NS: Final = 3_000_000
_PROCESS: Final = ProcessInfo(4711, "bench", rfc3339(BEGIN_NS))


def records(runs: int, steps: int = len(STEPS)) -> Iterator[Record]:
    """Yield two records per step; one run in twenty fails at its last step, one in fifty never reports its end."""
    for first in range(0, runs, _IN_FLIGHT):
        numbers = range(first, min(first + _IN_FLIGHT, runs))
        for place in range(steps):
            for ended in (False, True):
                for number in numbers:
                    last = place == steps - 1
                    if not (ended and last and number % 50 == 0):
                        yield _record(number, place, ended=ended, failed=last and number % 20 == 1)


def _record(number: int, place: int, *, ended: bool, failed: bool) -> Record:
    ids = Random(number * 64 + place)
    trace_id, span_id = f"{Random(number).getrandbits(128):032x}", f"{ids.getrandbits(64):016x}"
    begin = BEGIN_NS + (number // _IN_FLIGHT * 16 + place * 2) * _STEP_NS + number % _IN_FLIGHT * 1000
    at = begin + _STEP_NS * ended
    status: Status = ("error" if failed else "success") if ended else "running"
    name = RARE if number % 1000 == 1 else "CardDeclined"
    return Record(
        id=record_id(trace_id, span_id, status, at),
        flow_key=FLOWS[number % len(FLOWS)],
        run_id=f"req_{Random(number).getrandbits(64):016x}",
        step_key=STEPS[place],
        status=status,
        timestamp=rfc3339(at),
        trace_id=trace_id,
        span_id=span_id,
        metadata={"route": "/checkout", "order_id": f"order-{number}", "amount": 100 + number % 900, "region": "eu"},
        started_at=rfc3339(begin) if ended else None,
        duration_ms=_STEP_NS / 1e6 if ended else None,
        error=ErrorInfo(name, f"the bank has refused card {number % 97}") if failed and ended else None,
        process=_PROCESS,
    )
