"""The sample: two flows with some sixty invented runs, for a page that has nothing to show yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import blake2b
from random import Random
from typing import Any, Final, NamedTuple

from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status, record_id, rfc3339

CHECKOUT: Final = "sample-checkout"
IMPORT: Final = "sample-nightly-import"
FLOWS: Final = (CHECKOUT, IMPORT)

_MINUTE: Final = 60_000_000
_CHECKOUTS: Final = 48
_IMPORTS: Final = 12
_BEGIN: Final = 118 * _MINUTE
"""How long before now the first run started."""

_UNUSED_PID: Final = 2**22
"""A pid that no system assigns: above the maximum of Linux, and of others."""


class _Step(NamedTuple):
    """A step, the steps that it waits for, and the bounds of its duration in milliseconds, mostly near the lower."""

    key: str
    after: tuple[str, ...]
    least: float
    most: float
    metadata: Mapping[str, Any]


_STEPS: Final[Mapping[str, tuple[_Step, ...]]] = {
    CHECKOUT: (
        _Step("validate-cart", (), 18, 70, {}),
        _Step("charge-card", ("validate-cart",), 310, 1900, {"bank": "first-example", "currency": "EUR"}),
        _Step("reserve-stock", ("validate-cart",), 60, 420, {"warehouse": "north"}),
        _Step("pack", ("charge-card", "reserve-stock"), 900, 4200, {"station": 3}),
        _Step("send-receipt-email", ("pack",), 90, 480, {"template": "receipt-2"}),
    ),
    IMPORT: (
        _Step("list-files", (), 400, 1500, {"bucket": "nightly"}),
        _Step("download-orders", ("list-files",), 14_000, 38_000, {"files": 24}),
        _Step("download-customers", ("list-files",), 6_000, 17_000, {"files": 8}),
        _Step("download-products", ("list-files",), 3_000, 9_000, {"files": 3}),
        _Step("merge-tables", ("download-orders", "download-customers", "download-products"), 9_000, 21_000, {}),
        _Step("validate-rows", ("merge-tables",), 2_500, 8_000, {"rules": 41}),
        _Step("load-warehouse", ("validate-rows",), 12_000, 44_000, {"table": "sales"}),
        _Step("notify-team", ("load-warehouse",), 150, 600, {"channel": "data"}),
    ),
}


_Frame = tuple[str, int, str, str]
"""The file, the line, the function and its code."""

_SHOP: Final = "/srv/shop/shop"
_LOADER: Final = "/srv/loader/loader"
_SHOP_LIBRARIES: Final = "/srv/shop/venv/lib/python3.12/site-packages"
_LOADER_LIBRARIES: Final = "/srv/loader/venv/lib/python3.12/site-packages"


def _error(name: str, message: str, *frames: _Frame) -> ErrorInfo:
    """Return an error with a stack as Python prints it."""
    lines = ["Traceback (most recent call last):"]
    for file, line, function, code in frames:
        lines += [f'  File "{file}", line {line}, in {function}', f"    {code}"]
    return ErrorInfo(name, message, "\n".join([*lines, f"{name}: {message}", ""]))


_DECLINED: Final = _error(
    "CardDeclinedError",
    "the bank declined the card: insufficient funds",
    (f"{_SHOP}/checkout.py", 88, "charge_card", "charge = bank.charge(order.card, order.total)"),
    (f"{_SHOP}/bank.py", 41, "charge", "answer = self._session.post(self._url, json=body)"),
    (f"{_SHOP_LIBRARIES}/bankclient/session.py", 212, "post", "return self._checked(self._send(request))"),
    (f"{_SHOP_LIBRARIES}/bankclient/session.py", 260, "_checked", "raise ERRORS[answer.code](answer.text)"),
)
_SOLD_OUT: Final = _error(
    "SoldOutError",
    "only 1 of 2 left of article 7731",
    (f"{_SHOP}/checkout.py", 97, "reserve_stock", "return [stock.take(line) for line in order.lines]"),
    (f"{_SHOP}/stock.py", 56, "take", "raise SoldOutError(line.article, left, line.count)"),
)
_SLOW_BANK: Final = _error(
    "TimeoutError",
    "the bank did not answer within 5 s",
    (f"{_SHOP}/checkout.py", 88, "charge_card", "charge = bank.charge(order.card, order.total)"),
    (f"{_SHOP}/bank.py", 41, "charge", "answer = self._session.post(self._url, json=body)"),
    (f"{_SHOP_LIBRARIES}/bankclient/session.py", 198, "_send", "line = self._reader.readline()"),
    ("/usr/lib/python3.12/socket.py", 707, "readinto", "return self._sock.recv_into(b)"),
)
_DEADLOCK: Final = _error(
    "DeadlockDetected",
    "deadlock on table sales, this transaction was rolled back",
    (f"{_LOADER}/warehouse.py", 133, "load", "cursor.copy_rows(rows)"),
    (f"{_LOADER_LIBRARIES}/warehouse_driver/cursor.py", 519, "copy_rows", "self._wait(COPY_DONE)"),
    (f"{_LOADER_LIBRARIES}/warehouse_driver/wire.py", 77, "_wait", "raise error_of(message)"),
)
_BAD_ROW: Final = _error(
    "ValueError",
    "row 48213: total is negative: -12.50",
    (f"{_LOADER}/rules.py", 64, "check_all", "rule(number, row)"),
    (f"{_LOADER}/rules.py", 29, "positive_total", 'raise ValueError(f"row {number}: total is negative: {row.total}")'),
)


class _Story(NamedTuple):
    """How a run deviates: a step fails, fails once and is repeated, is skipped, or never ends."""

    fails: Mapping[str, ErrorInfo] = {}
    repeats: Mapping[str, ErrorInfo] = {}
    skips: str | None = None
    hangs: str | None = None


_STORIES: Final[Mapping[str, Mapping[int, _Story]]] = {
    CHECKOUT: {
        **{number: _Story(skips="send-receipt-email") for number in (2, 9, 13, 20, 27, 31, 38, 44)},
        **{number: _Story(fails={"charge-card": _DECLINED}) for number in (5, 23, 36, 41)},
        **{number: _Story(fails={"reserve-stock": _SOLD_OUT}) for number in (16, 33)},
        29: _Story(fails={"charge-card": _SLOW_BANK}),
        39: _Story(repeats={"charge-card": _SLOW_BANK}),
        _CHECKOUTS - 2: _Story(hangs="pack"),
    },
    IMPORT: {
        **{number: _Story(repeats={"load-warehouse": _DEADLOCK}) for number in (3, 8)},
        6: _Story(fails={"validate-rows": _BAD_ROW}),
        **{number: _Story(skips="notify-team") for number in (1, 4, 7)},
        _IMPORTS - 1: _Story(hangs="merge-tables"),
    },
}


def sample_events(now_us: int, host: str) -> list[str]:
    """Return the events as JSON texts in order of time; the same for the same arguments.

    ``now_us`` is in microseconds since the epoch: the runs lie in the two hours before. One is stuck in a process of
    this ``host`` that is not there, one in a process of another host. Their metadata hold ``"sample": true``.
    """
    events = [*_flow_events(CHECKOUT, _CHECKOUTS, now_us, host), *_flow_events(IMPORT, _IMPORTS, now_us, host)]
    return [event.to_json().decode() for event in sorted(events, key=lambda event: event.timestamp)]


def _flow_events(flow_key: str, runs: int, now: int, host: str) -> Iterator[Record]:
    room = _BEGIN // runs
    for number in range(runs):
        # Random-looking numbers that are always the same.
        chance = Random(f"{flow_key} {number}")  # noqa: S311 - nothing secret
        started = now - _BEGIN + number * room + int(chance.random() * room / 4)
        story = _STORIES[flow_key].get(number, _Story())
        yield from _Run(flow_key, started, story, _process(flow_key, story, chance, started, host), chance).events()


def _process(flow_key: str, story: _Story, chance: Random, started: int, host: str) -> ProcessInfo:
    if flow_key == IMPORT and story.hangs:
        # Without a start time it is gone everywhere: also in a container that is younger than the run, and on
        # systems without start times.
        return ProcessInfo(_UNUSED_PID, host)
    sample_host = "sample-batch-1" if flow_key == IMPORT else f"sample-web-{1 + int(chance.random() * 3)}"
    return ProcessInfo(400 + int(chance.random() * 5000), sample_host, rfc3339((started - 3 * 60 * _MINUTE) * 1000))


@dataclass
class _Run:
    """The events of one run."""

    flow_key: str
    started: int
    story: _Story
    process: ProcessInfo
    chance: Random

    def __post_init__(self) -> None:
        self._spans = 0
        began = datetime.fromtimestamp(self.started // 1_000_000, timezone.utc)
        if self.flow_key == CHECKOUT:
            self._run_id = f"order-{self.started // 1_000_000 % 10_000_000}"
            customer = f"c-{100 + int(self.chance.random() * 900)}"
            self._metadata = {"customer": customer, "items": 1 + int(self.chance.random() * 5)}
        else:
            self._run_id = f"import-{began:%Y-%m-%d-%H%M}"
            self._metadata = {"region": "eu-north", "day": f"{began:%Y-%m-%d}"}
        self._trace_id = self._hex(16)

    def events(self) -> Iterator[Record]:
        ended: dict[str, int] = {}
        for step in _STEPS[self.flow_key]:
            if not all(before in ended for before in step.after):
                continue
            at = max((ended[before] for before in step.after), default=self.started) + self._between(2, 9)
            if self.story.skips == step.key:
                yield self._event(step, "skipped", at, self._hex(8))
                ended[step.key] = at
                continue
            if error := self.story.repeats.get(step.key):
                failed = at + self._between(step.least, step.most)
                yield from self._attempt(step, at, failed, error)
                at = failed + self._between(900, 1100)
            end = None if self.story.hangs == step.key else at + self._between(step.least, step.most)
            error = self.story.fails.get(step.key)
            yield from self._attempt(step, at, end, error)
            if end is not None and error is None:
                ended[step.key] = end

    def _attempt(self, step: _Step, started: int, ended: int | None, error: ErrorInfo | None) -> Iterator[Record]:
        span_id = self._hex(8)
        yield self._event(step, "running", started, span_id)
        if ended is not None:
            yield self._event(step, "error" if error else "success", ended, span_id, started=started, error=error)

    def _event(
        self,
        step: _Step,
        status: Status,
        at: int,
        span_id: str,
        *,
        started: int | None = None,
        error: ErrorInfo | None = None,
    ) -> Record:
        return Record(
            id=record_id(self._trace_id, span_id, status, at * 1000),
            flow_key=self.flow_key,
            run_id=self._run_id,
            step_key=step.key,
            status=status,
            timestamp=rfc3339(at * 1000),
            trace_id=self._trace_id,
            span_id=span_id,
            metadata={"sample": True, **self._metadata, **step.metadata},
            started_at=None if started is None else rfc3339(started * 1000),
            duration_ms=None if started is None else (at - started) / 1000,
            error=error,
            process=self.process,
        )

    def _between(self, least: float, most: float) -> int:
        """Return microseconds between two numbers of milliseconds; the fourth power makes long ones rare."""
        return round((least + (most - least) * self.chance.random() ** 4) * 1000)

    def _hex(self, size: int) -> str:
        self._spans += 1
        return blake2b(f"{self.flow_key} {self.started} {self._spans}".encode(), digest_size=size).hexdigest()
