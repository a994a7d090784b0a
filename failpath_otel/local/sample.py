"""The sample: two flows with some invented runs and a fault of one customer, for a page that has nothing to show."""

from collections.abc import Generator, Iterator, Mapping
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
_CHECKOUTS: Final = 120
_FAULT: Final = range(89, _CHECKOUTS, 2)
"""The checkouts of one customer, all of which fail from one on."""

_CUSTOMER: Final = "c-814"
_IMPORTS: Final = 12
_BEGIN: Final = 118 * _MINUTE
"""How long before now the first run started."""

_UNUSED_PID: Final = 2**22
"""A pid that no system assigns: above the maximum of Linux, and of others."""


class _Step(NamedTuple):
    """A step, the steps that it waits for, and the bounds of its duration in milliseconds, mostly near the lower.

    One that others run ``inside`` of lasts as much longer than these.
    """

    key: str
    after: tuple[str, ...]
    least: float
    most: float
    metadata: Mapping[str, Any]
    inside: str | None = None


_STEPS: Final[Mapping[str, tuple[_Step, ...]]] = {
    CHECKOUT: (
        _Step("validate-cart", (), 18, 70, {}),
        _Step("charge-card", ("validate-cart",), 310, 1900, {"bank": "first-example", "currency": "EUR"}),
        _Step("reserve-stock", ("validate-cart",), 60, 420, {"warehouse": "north"}),
        _Step("pack", ("charge-card", "reserve-stock"), 120, 700, {"station": 3}),
        _Step("pick-items", (), 600, 2400, {"shelves": 2}, inside="pack"),
        _Step("choose-box", ("pick-items",), 40, 130, {"size": "M"}, inside="pack"),
        _Step("send-receipt-email", ("pack",), 90, 480, {"template": "receipt-2"}),
    ),
    IMPORT: (
        _Step("list-files", (), 400, 1500, {"bucket": "nightly"}),
        _Step("download", ("list-files",), 20, 90, {"files": 35}),
        _Step("download-orders", (), 14_000, 38_000, {"files": 24}, inside="download"),
        _Step("download-customers", (), 6_000, 17_000, {"files": 8}, inside="download"),
        _Step("download-products", (), 3_000, 9_000, {"files": 3}, inside="download"),
        _Step("merge-tables", ("download",), 9_000, 21_000, {}),
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


def _no_carrier(order: int) -> ErrorInfo:
    return _error(
        "NoCarrierError",
        f"no carrier takes parcel {7_000_000 + order * 173} to the depot of {_CUSTOMER}",
        (f"{_SHOP}/packing.py", 118, "pack", "label = carriers.label(parcel, order.address)"),
        (f"{_SHOP}/carriers.py", 64, "label", "carrier = self._routes[address.depot]"),
        (f"{_SHOP}/carriers.py", 71, "_unknown", "raise NoCarrierError(parcel, customer)"),
    )


class _Story(NamedTuple):
    """How a run deviates: a step fails, fails once and is repeated, is skipped, or never ends."""

    fails: Mapping[str, ErrorInfo] = {}
    repeats: Mapping[str, ErrorInfo] = {}
    skips: str | None = None
    hangs: str | None = None


_STORIES: Final[Mapping[str, Mapping[int, _Story]]] = {
    CHECKOUT: {
        **{number: _Story(skips="send-receipt-email") for number in (2, 9, 20, 31, 44, 58, 67, 80, 94, 106)},
        **{number: _Story(fails={"charge-card": _DECLINED}) for number in (5, 41)},
        16: _Story(fails={"reserve-stock": _SOLD_OUT}),
        **{number: _Story(repeats={"charge-card": _SLOW_BANK}) for number in (12, 29, 47, 63, 70, 84, 98, 104)},
        **{number: _Story(fails={"pack": _no_carrier(number)}) for number in _FAULT},
        107: _Story(fails={"pack": _no_carrier(107)}, repeats={"charge-card": _SLOW_BANK}),
        _CHECKOUTS - 2: _Story(hangs="choose-box"),
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
        yield from _Run(
            flow_key, started, story, _process(flow_key, story, chance, started, host), chance, number % 2 == 1
        ).events()


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
    of_the_customer: bool

    def __post_init__(self) -> None:
        self._spans = 0
        began = datetime.fromtimestamp(self.started // 1_000_000, timezone.utc)
        if self.flow_key == CHECKOUT:
            self._run_id = f"order-{self.started // 1_000_000 % 10_000_000}"
            other = f"c-{100 + int(self.chance.random() * 700)}"
            customer = _CUSTOMER if self.of_the_customer else other
            self._metadata = {"customer": customer, "items": 1 + int(self.chance.random() * 5)}
        else:
            self._run_id = f"import-{began:%Y-%m-%d-%H%M}"
            self._metadata = {"region": "eu-north", "day": f"{began:%Y-%m-%d}"}
        self._trace_id = self._hex(16)

    def events(self) -> Iterator[Record]:
        yield from self._steps(None, self.started, None)

    def _steps(self, inside: str | None, at: int, parent: str | None) -> Generator[Record, None, int | None]:
        """Yield the events of the steps inside a step; return when all of them had ended, ``None`` if one did not."""
        steps = [step for step in _STEPS[self.flow_key] if step.inside == inside]
        ended: dict[str, int] = {}
        for step in steps:
            if all(before in ended for before in step.after):
                started = max((ended[before] for before in step.after), default=at) + self._between(2, 9)
                end = yield from self._step(step, started, parent)
                if end is not None:
                    ended[step.key] = end
        return max(ended.values(), default=at) if len(ended) == len(steps) else None

    def _step(self, step: _Step, at: int, parent: str | None) -> Generator[Record, None, int | None]:
        """Yield the events of a step with all of its attempts; return when it ended well."""
        if self.story.skips == step.key:
            yield self._event(step, "skipped", at, self._hex(8), parent)
            return at
        if error := self.story.repeats.get(step.key):
            span_id, failed = self._hex(8), at + self._between(step.least, step.most)
            yield self._event(step, "running", at, span_id, parent)
            yield self._event(step, "error", failed, span_id, parent, started=at, error=error)
            at = failed + self._between(900, 1100)
        span_id, error = self._hex(8), self.story.fails.get(step.key)
        yield self._event(step, "running", at, span_id, parent)
        within = yield from self._steps(step.key, at, span_id)
        if within is None or self.story.hangs == step.key:
            return None
        end = within + self._between(step.least, step.most)
        yield self._event(step, "error" if error else "success", end, span_id, parent, started=at, error=error)
        return None if error else end

    def _event(
        self,
        step: _Step,
        status: Status,
        at: int,
        span_id: str,
        parent: str | None,
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
            parent_span_id=parent,
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
