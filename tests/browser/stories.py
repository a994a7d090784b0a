"""Runs made by hand, an hour ago, for tests that look at what a page makes of them."""

import time
from typing import Any, Final

from failpath_otel.records.record import ErrorInfo, Status, rfc3339
from tests.local.events import event, wire

_BEGIN_NS: Final = time.time_ns() - 3_600_000_000_000
"""Where the seconds of :func:`record` start: so near that nothing is deleted for its age."""

STACK: Final = """Traceback (most recent call last):
  File "/srv/shop/venv/lib/python3.11/site-packages/requests/sessions.py", line 703, in send
    r = adapter.send(request, **kwargs)
  File "/srv/shop/bank.py", line 41, in charge
    raise CardDeclined(code)
shop.bank.CardDeclined: the bank declined the card
"""

DECLINED: Final = ErrorInfo("shop.bank.CardDeclined", "the bank declined the card", STACK)


def now(seconds: float = 0) -> str:
    """The time that lies ``seconds`` after this instant, as it stands in a record."""
    return rfc3339(time.time_ns() + round(seconds * 1e9))


def record(status: Status, seconds: float, *, started: float | None = None, **fields: Any) -> dict[str, Any]:
    """One event as JSON, ``seconds`` after a begin that all have in common; ``fields`` are those of ``event``."""

    def at(seconds: float) -> str:
        return rfc3339(_BEGIN_NS + round(seconds * 1_000_000) * 1000)

    times = {"timestamp": at(seconds)} | ({} if started is None else {"startedAt": at(started)})
    return wire(event(status, seconds, started=started, **fields), **times)


def finished(
    run: str,
    *steps: str,
    flow: str = "checkout",
    start: float = 0.0,
    fails: str | None = None,
    seconds: float = 0.2,
    **metadata: Any,
) -> list[dict[str, Any]]:
    """The events of a run whose steps come one after another; it ends with the step that fails, if one does."""
    events: list[dict[str, Any]] = []
    at = start
    for step in steps or ("validate-cart", "charge-card", "send-receipt"):
        same: dict[str, Any] = {"step": step, "span": f"{run}/{step}", "run": run, "flow": flow}
        events.append(record("running", at, **same, **metadata))
        end = {"started": at, "duration_ms": seconds * 1000, **same}
        at += seconds
        if step == fails:
            events.append(record("error", at, error=DECLINED, **end, **metadata))
            break
        events.append(record("success", at, **end, **metadata))
    return events


def begun(run: str, step: str = "charge-card", flow: str = "checkout", **changes: Any) -> dict[str, Any]:
    """A step that has begun at this instant; of no process that could be gone."""
    return wire(event("running", 0, step=step, span=f"{run}/{step}", run=run, flow=flow), timestamp=now(), **changes)


def ended(run: str, step: str = "charge-card", flow: str = "checkout", status: Any = "success") -> dict[str, Any]:
    """The end, at this instant, of the step that :func:`begun` began."""
    error = DECLINED if status == "error" else None
    end = event(status, 0, step=step, span=f"{run}/{step}", run=run, flow=flow, error=error)
    return wire(end, timestamp=now())
