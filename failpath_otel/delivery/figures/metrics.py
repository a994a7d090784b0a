"""Metrics about the delivery, by OpenTelemetry's metrics API: read from ``stats()`` when they are collected.

Nothing is counted for them, so that a step does not cost more. What the semantic conventions have for the spans of an
SDK's processors and exporters has their names, counted in records, of which a step has two; the rest is ``failpath.*``.
"""

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final, Protocol

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter

from failpath_otel._version import __version__
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.report import exception_once
from failpath_otel.semconv import SCOPE_NAME

_TYPE: Final = "otel.component.type"
_NAME: Final = "otel.component.name"
_ERROR: Final = "error.type"
_STATE: Final = "failpath.record.state"

_numbers: Final = itertools.count()


class Measured(Protocol):
    """What has figures: the pipelines of a span processor, or the pipeline of an exporter."""

    def stats(self) -> Stats:
        """Return the counts at this moment."""
        ...

    @property
    def max_records(self) -> int | None:
        """How many records may wait; ``None`` where a journal is bounded in bytes."""
        ...


_Value = int | float | None
_Read = Callable[[Stats, int | None], Iterable[tuple[_Value, Mapping[str, str]]]]


def _one(read: Callable[[Stats], _Value]) -> _Read:
    return lambda stats, _: ((read(stats), {}),)


def _exported(stats: Stats, _: int | None) -> Iterator[tuple[_Value, Mapping[str, str]]]:
    yield stats.delivered, {}
    for reason, records in stats.dropped.items():
        yield records, {_ERROR: reason}


def _states(delivered: int, dropped: Mapping[str, int]) -> Iterator[tuple[_Value, Mapping[str, str]]]:
    yield delivered, {_STATE: "delivered"}
    for reason, records in dropped.items():
        yield records, {_STATE: "dropped", _ERROR: reason}


class _Instruments:
    """The instruments of one meter, which read all that is measured by it."""

    def __init__(self, meter: Meter) -> None:
        # By identity. A plain dictionary is copied at once, while another thread adds something.
        self._measured: Final[dict[int, tuple[weakref.ref[Measured], Mapping[str, str]]]] = {}
        counter, gauge = meter.create_observable_counter, meter.create_observable_gauge
        level = meter.create_observable_up_down_counter
        for create, name, unit, description, read in (
            (
                level,
                "otel.sdk.processor.span.queue.size",
                "{span}",
                "Records that wait or are on their way; a step has two.",
                _one(lambda stats: stats.waiting),
            ),
            (
                level,
                "otel.sdk.processor.span.queue.capacity",
                "{span}",
                "Records that may wait in memory; a journal is bounded in bytes.",
                lambda _, max_records: ((max_records, {}),),
            ),
            (
                counter,
                "otel.sdk.exporter.span.exported",
                "{span}",
                "Records that Failpath has taken, and with error.type those that are lost; a step has two.",
                _exported,
            ),
            (
                counter,
                "failpath.records",
                "{record}",
                "Records by what became of them; of those that are lost, why.",
                lambda stats, _: _states(stats.delivered, stats.dropped),
            ),
            (
                counter,
                "failpath.records.accepted",
                "{record}",
                "Records that were taken into the queue.",
                _one(lambda stats: stats.accepted),
            ),
            (
                counter,
                "failpath.records.adopted",
                "{record}",
                "Records that ended processes have left in their journals, by what became of them.",
                lambda stats, _: _states(stats.adopted, stats.adopted_dropped),
            ),
            (
                gauge,
                "failpath.records.oldest_age",
                "s",
                "How long the oldest record that waits has waited; 0 if none waits.",
                _one(lambda stats: stats.oldest_waiting_seconds or 0.0),
            ),
            (
                level,
                "failpath.journal.size",
                "By",
                "Bytes of the records that wait in the journal.",
                _one(lambda stats: stats.journal_bytes),
            ),
        ):
            create(name, callbacks=[self._callback(read)], unit=unit, description=description)

    def add(self, measured: Measured, kind: str) -> None:
        """Observe also this one, as long as it lives."""
        self._measured[id(measured)] = weakref.ref(measured), {_TYPE: kind, _NAME: f"{kind}/{next(_numbers)}"}

    def discard(self, measured: Measured) -> None:
        """Observe this one no more."""
        found = self._measured.get(id(measured))
        if found is not None and found[0]() is measured:
            self._measured.pop(id(measured), None)

    def _callback(self, read: _Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> list[Observation]:
            found = []
            for key, entry in self._measured.copy().items():
                measured, component = entry[0](), entry[1]
                if measured is None:
                    if self._measured.get(key) is entry:  # else another one has its place
                        self._measured.pop(key, None)
                    continue
                try:
                    for value, attributes in read(measured.stats(), measured.max_records):
                        if value is not None:
                            found.append(Observation(value, {**component, **attributes}))
                except Exception:  # noqa: BLE001 - it must not cost the application its other metrics
                    exception_once("observing metrics")
            return found

        return observe


_of_global: Final[list[_Instruments]] = []
_of_provider: Final[dict[int, tuple[Callable[[], object], _Instruments]]] = {}


def measure(measured: Measured, kind: str, destination: MeterProvider | bool) -> None:  # noqa: FBT001 - the option
    """Report the figures of ``measured`` from now on, as long as it lives; ``False``: no more.

    Args:
        measured: what has them.
        kind: the class that the application knows, as ``otel.component.type``.
        destination: the meter provider; ``True``: the global one, also one that is set later.
    """
    for instruments in (*_of_global, *(each for _, each in _of_provider.copy().values())):
        instruments.discard(measured)
    if destination is False:
        return
    try:
        _instruments_of(destination).add(measured, kind)
    except Exception:  # noqa: BLE001 - a meter provider of another vendor may raise anything
        exception_once("making the instruments of metrics")


def _itself(destination: object) -> object:
    return destination


def _instruments_of(destination: MeterProvider | bool) -> _Instruments:  # noqa: FBT001 - as above
    if isinstance(destination, bool):
        if not _of_global:
            _of_global.append(_Instruments(get_meter(SCOPE_NAME, __version__)))
        return _of_global[0]
    found = _of_provider.get(id(destination))
    if found is None or found[0]() is not destination:
        made = _Instruments(destination.get_meter(SCOPE_NAME, __version__))
        try:
            reference: Callable[[], object] = weakref.ref(destination)
        except TypeError:  # without weak references: it stays, as most providers do
            reference = partial(_itself, destination)
        found = _of_provider[id(destination)] = reference, made
    return found[1]
