"""Every OpenTelemetry set-up that an application may have, and what its outgoing headers say under it."""

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.util.types import Attributes

from failpath_otel import Failpath

ROUNDS: Final = 10
"""How often a set-up has a client take its steps."""

SAMPLED: Final = "01"
DROPPED: Final = "00"
NO_HEADER: Final = ""

Connect = Callable[..., Failpath]
"""Makes a client of a provider, with the options of ``configure()``."""

Round = tuple[Failpath, trace.TracerProvider | None]
"""A client and the provider of the application's own spans; nothing for the global one."""

exporters: Final[list[InMemorySpanExporter]] = []
"""The application's own exporters, in the order in which they were made in this process."""


@dataclass(frozen=True)
class Setup:
    """What an application does between its steps.

    ``flags`` are those of the outgoing ``traceparent`` in its steps. ``exported`` is how many of its steps its own
    exporters get; nothing where that is exactly those with the sampled flag.
    """

    rounds: Callable[[Connect], Iterator[Round]]
    flags: frozenset[str]
    exported: int | None = None
    parent: str = ""


class RepeatableIds(IdGenerator):
    """The same ids in the same order in every process, and others in every provider."""

    _seeds: Final = itertools.count()

    def __init__(self) -> None:
        self._random = random.Random(next(self._seeds))

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)


class ByName(Sampler):
    """Decides by the name of the span alone; ``decisions`` has the beginnings of names, the first that fits counts."""

    def __init__(self, decisions: dict[str, Decision]) -> None:
        self._decisions = decisions

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Attributes = None,
        *given: Any,
        **named: Any,
    ) -> SamplingResult:
        decision = next(self._decisions[beginning] for beginning in self._decisions if name.startswith(beginning))
        return SamplingResult(decision, attributes)

    def get_description(self) -> str:
        return "ByName"


class OtherVendor(trace.TracerProvider):
    """A provider that takes no span processor; its spans are those of ``made_by``."""

    def __init__(self, made_by: Callable[[], trace.Tracer]) -> None:
        self._made_by = made_by

    def get_tracer(self, *given: Any, **named: Any) -> trace.Tracer:
        return self._made_by()


class NonRecordingTracer(trace.NoOpTracer):
    """Makes spans with ids of their own that record nothing."""

    ids: Final = RepeatableIds()

    def start_span(self, *given: Any, **named: Any) -> trace.Span:
        ids = (self.ids.generate_trace_id(), self.ids.generate_span_id())
        return trace.NonRecordingSpan(trace.SpanContext(*ids, is_remote=False))


class NoIdsTracer(trace.NoOpTracer):
    """Makes spans without ids, whatever is around them, as the tracers of older APIs do where there is no provider."""

    def start_span(self, *given: Any, **named: Any) -> trace.Span:
        return trace.INVALID_SPAN

    def start_as_current_span(self, *given: Any, **named: Any) -> Any:
        # Newer APIs would make it the current one, and so hide the remote parent even without us.
        return nullcontext(trace.INVALID_SPAN)


def sdk_provider(sampler: Sampler = ALWAYS_ON, **more: Any) -> TracerProvider:
    """A provider of the SDK with an exporter of the application's own."""
    provider = TracerProvider(sampler=sampler, id_generator=RepeatableIds(), **more)
    exporters.append(InMemorySpanExporter())
    provider.add_span_processor(SimpleSpanProcessor(exporters[-1]))
    return provider


def _global(provide: Callable[[], trace.TracerProvider]) -> Callable[[Connect], Iterator[Round]]:
    def rounds(connect: Connect) -> Iterator[Round]:
        trace.set_tracer_provider(provide())
        failpath = connect()
        for _ in range(ROUNDS):
            yield failpath, None

    return rounds


def _sampled_by(sampler: Sampler) -> Callable[[Connect], Iterator[Round]]:
    return _global(lambda: sdk_provider(sampler))


def _recording_vendor() -> trace.TracerProvider:
    behind = sdk_provider()
    return OtherVendor(lambda: behind.get_tracer("behind"))


def _no_provider(connect: Connect) -> Iterator[Round]:
    failpath = connect()
    for _ in range(ROUNDS):
        yield failpath, None


def _provider_set_after(rounds_before: int) -> Callable[[Connect], Iterator[Round]]:
    def rounds(connect: Connect) -> Iterator[Round]:
        failpath = connect()
        for number in range(ROUNDS):
            if number == rounds_before:
                trace.set_tracer_provider(sdk_provider())
            yield failpath, None

    return rounds


def _second_provider_after_a_shutdown(connect: Connect) -> Iterator[Round]:
    # Without an exporter, because the SDK's own processors would complain of every span after the shutdown.
    old = TracerProvider(id_generator=RepeatableIds())
    of_old = connect(tracer_provider=old)
    yield of_old, old
    yield of_old, old
    old.shutdown()
    yield of_old, old
    new = sdk_provider()
    of_new = connect(tracer_provider=new)
    for number in range(ROUNDS - 3):
        yield (of_old, old) if number % 2 else (of_new, new)


def _concurrent_processors(connect: Connect) -> Iterator[Round]:
    provider = sdk_provider(active_span_processor=ConcurrentMultiSpanProcessor(), shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    failpath = connect()
    for _ in range(ROUNDS):
        yield failpath, None
    # At the end of the interpreter, when its threads are gone, the SDK's own processor could not do it any more.
    provider.shutdown()


def _concurrent_processors_until_the_end(connect: Connect) -> Iterator[Round]:
    return _global(lambda: sdk_provider(active_span_processor=ConcurrentMultiSpanProcessor()))(connect)


def _configured_again(*options: dict[str, Any]) -> Callable[[Connect], Iterator[Round]]:
    """Thirty times, with ``options`` in turn; every third client takes steps, all to the end."""

    def rounds(connect: Connect) -> Iterator[Round]:
        trace.set_tracer_provider(sdk_provider())
        endpoint = os.environ["FAILPATH_DEV_ENDPOINT"]
        for number in range(3 * ROUNDS):
            given = dict(options[number % len(options)])
            if "path" in given:
                given["endpoint"] = f"{endpoint}/{given.pop('path')}"
            failpath = connect(**given)
            if number % 3 == 0:
                yield failpath, None

    return rounds


_ON: Final = frozenset({SAMPLED})
_OFF: Final = frozenset({DROPPED})
_NONE: Final = frozenset({NO_HEADER})
_RECORD_ONLY: Final = {"": Decision.RECORD_ONLY}
_SOME: Final = {
    "function": Decision.DROP,
    "outer": Decision.DROP,
    "coroutine": Decision.RECORD_ONLY,
    "": Decision.RECORD_AND_SAMPLE,
}

_REMOTE: Final = f"00-{7:032x}-{8:016x}-"

SETUPS: Final[dict[str, Setup]] = {
    "sampler ALWAYS_ON": Setup(_sampled_by(ALWAYS_ON), _ON),
    "sampler ALWAYS_OFF": Setup(_sampled_by(ALWAYS_OFF), _OFF),
    "sampler TraceIdRatioBased(0)": Setup(_sampled_by(TraceIdRatioBased(0)), _OFF),
    "sampler TraceIdRatioBased(0.5)": Setup(_sampled_by(TraceIdRatioBased(0.5)), _ON | _OFF),
    "sampler ParentBased(ALWAYS_OFF)": Setup(_sampled_by(ParentBased(ALWAYS_OFF)), _OFF),
    "sampler that records only": Setup(_sampled_by(ByName(_RECORD_ONLY)), _OFF),
    "sampler that goes by the name": Setup(_sampled_by(ByName(_SOME)), _ON | _OFF),
    "unsampled remote parent": Setup(_sampled_by(ParentBased(ALWAYS_ON)), _OFF, parent=_REMOTE + DROPPED),
    "sampled remote parent": Setup(_sampled_by(ParentBased(ALWAYS_OFF)), _ON, parent=_REMOTE + SAMPLED),
    "no provider": Setup(_no_provider, _NONE),
    "no provider, sampled remote parent": Setup(_no_provider, _ON, 0, parent=_REMOTE + SAMPLED),
    "other vendor, nothing recorded": Setup(_global(lambda: OtherVendor(NonRecordingTracer)), _OFF),
    "other vendor, spans without ids": Setup(_global(lambda: OtherVendor(NoIdsTracer)), _NONE),
    "other vendor, spans without ids, sampled remote parent": Setup(
        _global(lambda: OtherVendor(NoIdsTracer)), _ON, 0, parent=_REMOTE + SAMPLED
    ),
    "other vendor, recording": Setup(_global(_recording_vendor), _ON),
    "provider set after configure()": Setup(_provider_set_after(0), _ON),
    "provider set between steps": Setup(_provider_set_after(ROUNDS // 2), _ON | _NONE),
    "second provider after a shutdown": Setup(_second_provider_after_a_shutdown, _ON, 40),
    "concurrent span processors": Setup(_concurrent_processors, _ON),
    "configured thirty times": Setup(_configured_again({}), _ON),
    "configured thirty times, capture_stack in turn": Setup(
        _configured_again({"capture_stack": True}, {"capture_stack": False}), _ON
    ),
    "configured thirty times, endpoints in turn": Setup(
        _configured_again({"path": "a"}, {"path": "b", "capture_stack": True}, {"path": "c"}, {"path": "a"}), _ON
    ),
}
"""Every set-up under which all steps arrive and the program ends in silence."""

BY_CHANCE: Final = frozenset({"sampler TraceIdRatioBased(0.5)"})
"""Under these, which of its own spans an application exports goes by their ids, so by how many there were before."""

UNTIL_THE_END: Final = "concurrent span processors until the end"
"""The SDK's own processor complains of being shut down when the interpreter ends."""

ALL: Final = {**SETUPS, UNTIL_THE_END: Setup(_concurrent_processors_until_the_end, _ON)}
"""The set-ups that a program can run under."""
