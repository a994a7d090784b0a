"""The start without code: the classes that ``opentelemetry-instrument`` and its configuration load by name."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import get_tracer_provider

from failpath_otel.config_file import file_options
from failpath_otel.configure import FailpathClient, configure
from failpath_otel.errors import ConfigurationError, DeliveryError
from failpath_otel.joined_providers import JOINS
from failpath_otel.options.arguments import DeliveryOptions
from failpath_otel.options.checks import IF_KEY_PRESENT
from failpath_otel.options.variables import warn_of_misspelt_variables
from failpath_otel.report import exception_once, warn, warn_once
from failpath_otel.spans.exporter import FailpathSpanExporter

if TYPE_CHECKING:
    from typing_extensions import Self

_NOT_OURS: Final = {
    *("skip_dep_check", "raise_exception_on_conflict"),
    *("meter_provider", "logger_provider", "event_logger_provider"),
}
"""Arguments that loaders and distributions pass to every instrumentor."""
_KEY: Final = "FAILPATH_PROJECT_KEY"
_RULES: Final = "FAILPATH_RULES"
_ENABLED: Final = "FAILPATH_ENABLED"


class FailpathInstrumentor:
    """Joins the tracer provider that OpenTelemetry has configured, as :func:`failpath_otel.configure` does.

    Loaded by ``opentelemetry-instrument`` under the name ``failpath``. Has the methods of OpenTelemetry's
    ``BaseInstrumentor`` that its loaders call, without the need for that package. One object a process.

    Does nothing without a project key; logs one line where there are rules and the variable of the key is not even set,
    and where an option cannot work. Never raises.
    """

    _instance: ClassVar["FailpathInstrumentor | None"] = None
    _client: FailpathClient | None = None

    def __new__(cls) -> "Self":
        """Return the object of this process."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance  # type: ignore[return-value]

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the provider was joined."""
        return self._client is not None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the libraries that have to be installed: none."""
        return ()

    def instrument(self, **options: Any) -> None:  # noqa: ANN401 - loaders pass what they have
        """Join the provider.

        Args:
            options: those of :func:`failpath_otel.configure`; others that loaders pass to every instrumentor are left
                out. Without any, those in OpenTelemetry's configuration file apply, else those of the exporter
                ``failpath``, where OpenTelemetry's configuration names it.
        """
        if self._client is not None:
            return  # the first call may have had options, from a file
        try:
            given = {name: value for name, value in options.items() if name not in _NOT_OURS}
            given = given or file_options() or dict(NamedSpanExporter.options)
            if not given.get("project_key") and not os.environ.get(_KEY, "").strip():
                if _KEY not in os.environ:
                    warn_of_misspelt_variables()
                    enabled = given.get("enabled") or os.environ.get(_ENABLED, "").strip().lower()
                    if enabled != IF_KEY_PRESENT and os.environ.get(_RULES, "").strip():
                        warn("Failpath: no steps are reported: %s is set, and %s is not", _RULES, _KEY)
                return
            self._client = configure(**given)
            if not hasattr(get_tracer_provider(), "add_span_processor"):
                warn(
                    "Failpath: OpenTelemetry has no tracer provider of its SDK yet, so only steps of failpath_otel are "
                    "reported. Install opentelemetry-distro, or call failpath_otel.configure() once you have set yours."
                )
        except (ConfigurationError, TypeError) as error:
            # OpenTelemetry's configuration and `opentelemetry-instrument` may both call this.
            warn_once(f"no steps: {error}", "Failpath: no steps are reported: %s", str(error))
        except Exception:  # noqa: BLE001 - what is raised here would end the instrumentation of everything else
            exception_once("joining the tracer provider")

    def uninstrument(self, **_: Any) -> None:  # noqa: ANN401 - as above
        """Flush, and take no more records."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(DeliveryError):  # loaders cannot handle it
                client.shutdown()


class NamedSpanExporter(SpanExporter):
    """:class:`FailpathSpanExporter` as OpenTelemetry's configuration makes it: ``OTEL_TRACES_EXPORTER=failpath``.

    Where the processor has joined the global provider as well, that one reports, because it is live, and this one sends
    nothing. Where its options cannot work, it logs one line, and other exporters go on.

    Args:
        options: those of :class:`FailpathSpanExporter`.
    """

    options: ClassVar[Mapping[str, Any]] = {}
    """The options of the last one that could be made, for a processor without its own."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - from a file
        self._exporter: FailpathSpanExporter | None = None
        try:
            given: DeliveryOptions = options  # type: ignore[assignment]
            self._exporter = FailpathSpanExporter(**given)
            NamedSpanExporter.options = options
        except (ConfigurationError, TypeError) as error:
            warn("Failpath: the exporter failpath sends nothing: %s", str(error))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the steps among ``spans`` that no processor has reported."""
        if self._exporter is None:
            return SpanExportResult.SUCCESS
        since = JOINS.since(get_tracer_provider())
        if since is not None:
            spans = [span for span in spans if (span.end_time or 0) < since]
        return self._exporter.export(spans)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait at most ``timeout_millis`` milliseconds until everything that was exported is delivered.

        Returns:
            Whether every record so far was delivered.
        """
        return self._exporter is None or self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Send what is kept, then take no more spans."""
        if self._exporter is not None:
            self._exporter.shutdown()
