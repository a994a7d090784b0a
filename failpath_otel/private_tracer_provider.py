"""The private tracer provider, for steps that the provider of the application would not report (decision 0003)."""

import inspect
import random
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from failpath_otel.runtime.forking import after_fork_in_child

_SPAN_LIMITS: Final = 512
_OF: Final = ("attributes", "events", "links", "span_attributes", "event_attributes", "link_attributes")


class _OwnIds(IdGenerator):
    """Random ids that a ``random.seed`` of the program does not repeat, in this process or a forked one."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - ids, not secrets
        after_fork_in_child(self._random.seed)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64) or 1


def private_tracer(processor: SpanProcessor, name: str, version: str) -> Callable[[], Tracer]:
    """Return a function that returns the tracer of a private provider, which is made at the first call.

    The provider samples everything, feeds ``processor`` alone, is not shut down at exit, and ignores all ``OTEL_*``
    variables but ``OTEL_SDK_DISABLED``.
    """
    made: list[Tracer] = []
    # Without it, the provider reports metrics about itself to the host's meter provider; older SDKs have neither.
    more: dict[str, Any] = {}
    if "meter_provider" in inspect.signature(TracerProvider).parameters:
        more["meter_provider"] = NoOpMeterProvider()

    def tracer() -> Tracer:
        if not made:
            provider = TracerProvider(
                sampler=ALWAYS_ON,
                resource=Resource({}),
                shutdown_on_exit=False,
                id_generator=_OwnIds(),
                span_limits=SpanLimits(
                    **{f"max_{what}": _SPAN_LIMITS for what in _OF},
                    max_attribute_length=SpanLimits.UNSET,
                    max_span_attribute_length=SpanLimits.UNSET,
                ),
                **more,
            )
            provider.add_span_processor(processor)
            made.append(provider.get_tracer(name, version))
        return made[0]

    return tracer
