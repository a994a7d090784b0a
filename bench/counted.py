"""The program whose instructions are counted: one case, in three sections of so many steps.

Each case has a process of its own, because the interpreter adapts its bytecode to what a process does most.
"""

import gc
import sys
from collections.abc import Callable
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

from bench.callgrind import mark
from bench.span import (
    PROJECT_KEY,
    Action,
    NullExporter,
    bare_span,
    failing_step_of,
    provider_to,
    step_block_of,
    step_of,
)
from failpath_otel import Failpath, FailpathClient, configure

SECTIONS: Final = 3
STEPS: Final = 250
_WARM_UP: Final = 50
_NEVER: Final = 1_000.0
_FLUSH_SECONDS: Final = 120.0

Subject = tuple[Action, Action]
"""What is counted, and what delivers it."""


def main(name: str, endpoint: str, *, delivered: bool) -> None:
    """Make the steps; with *delivered* a section ends when all of its records have been accepted."""
    act, settle = CASES[name](endpoint)
    # Time passes fifty times as fast below Valgrind. Where threads take turns by time, a batch would have few records.
    # So the others run when the main thread waits for them, and a section makes as many requests as in a burst.
    sys.setswitchinterval(_NEVER)
    _make(_WARM_UP, act)
    deliver(settle)
    gc.collect()
    gc.freeze()
    for _ in range(SECTIONS):
        mark()
        _make(STEPS, act)
        if delivered:
            deliver(settle)
        mark()
        deliver(settle)


def deliver(settle: Action) -> None:
    """Wait until all is delivered, or end the program."""
    if not settle():
        sys.exit("records were lost")


def _make(steps: int, act: Action) -> None:
    for _ in range(steps):
        act()


def _bare(_: str) -> Subject:
    provider = provider_to(NullExporter())
    return bare_span(provider), provider.force_flush


def _by_otlp(endpoint: str) -> Subject:
    provider = provider_to(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces"))
    return bare_span(provider), provider.force_flush


def _otlp_only(_: str) -> Subject:
    provider = provider_to(NullExporter())
    return step_of(Failpath(tracer_provider=provider)), provider.force_flush


def _step(step: Callable[[Failpath], Action], *, host: bool = True, journal: bool = True) -> Callable[[str], Subject]:
    """Return the case of a step: with or without a host's provider, and with or without a journal."""

    def case(endpoint: str) -> Subject:
        client: FailpathClient
        provider = TracerProvider(shutdown_on_exit=False) if host else None
        if journal:
            client = configure(project_key=PROJECT_KEY, endpoint=endpoint, tracer_provider=provider)
        else:
            client = configure(project_key=PROJECT_KEY, endpoint=endpoint, tracer_provider=provider, journal=None)
        return step(client), lambda: client.flush(_FLUSH_SECONDS)

    return case


CASES: Final[dict[str, Callable[[str], Subject]]] = {
    "bare": _bare,
    "journal": _step(step_of),
    "memory": _step(step_of, journal=False),
    "none": _step(step_of, host=False),
    "none-memory": _step(step_of, host=False, journal=False),
    "failing": _step(failing_step_of),
    "none-failing": _step(failing_step_of, host=False),
    "block": _step(step_block_of),
    "none-block": _step(step_block_of, host=False),
    "otlp": _otlp_only,
    "by-otlp": _by_otlp,
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], delivered="delivered" in sys.argv[3:])
