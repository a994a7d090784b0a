"""The set-ups that are tested: one neighbour each, as an application would configure it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.neighbours.datadog import read_datadog
from tests.neighbours.envelopes import read_envelopes
from tests.neighbours.otlp import read_otlp
from tests.neighbours.seen import Reader


@dataclass(frozen=True)
class Setup:
    """A program and how its neighbour's backend is read.

    ``shares``: steps are spans of this neighbour too. ``filters``: they are spans of its provider, but it does not
    export them, so what happens in a step hangs on a span that its backend does not know.
    """

    program: str
    read: Reader
    environment: Mapping[str, str] = field(default_factory=dict)
    shares: bool = False
    filters: bool = False
    command: tuple[str, ...] = (sys.executable,)


def _ddtrace(patch: str, **more: str) -> dict[str, str]:
    return {
        "PATCH": patch,
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_API_VERSION": "v0.4",
        **more,
    }


_DDTRACE_RUN: Final = (str(Path(sys.executable).with_name("ddtrace-run")), sys.executable)

SETUPS: Final[Mapping[str, Setup]] = {
    "Logfire": Setup("with_logfire", read_otlp, shares=True),
    "Langfuse": Setup("with_langfuse", read_otlp, filters=True),
    "Langfuse that exports steps": Setup("with_langfuse", read_otlp, {"EXPORT_STEPS": "1"}, shares=True),
    "Sentry": Setup("with_sentry", read_envelopes, {"SENTRY_RELEASE": "1"}),
    "Sentry with streamed spans": Setup("with_sentry_stream", read_envelopes, {"SENTRY_RELEASE": "1"}),
    "ddtrace": Setup("with_ddtrace", read_datadog, _ddtrace("requests")),
    "ddtrace with all HTTP clients": Setup("with_ddtrace", read_datadog, _ddtrace("requests,urllib3,httplib")),
    "ddtrace.auto": Setup("with_ddtrace", read_datadog, _ddtrace("auto")),
    "ddtrace-run": Setup("with_ddtrace", read_datadog, _ddtrace(""), command=_DDTRACE_RUN),
    "ddtrace as the OpenTelemetry provider": Setup(
        "with_ddtrace", read_datadog, _ddtrace("auto", DD_TRACE_OTEL_ENABLED="true"), shares=True
    ),
}
