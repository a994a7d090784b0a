"""The log line at the start: where steps are sent, so that a wrong endpoint is seen before the first step."""

from typing import TYPE_CHECKING

from opentelemetry.trace import TracerProvider

from failpath_otel.report import info_once

if TYPE_CHECKING:
    from failpath_otel.options.options import Options


def log_start(options: "Options", joined: TracerProvider | None) -> None:
    """Log the options that apply, at level ``INFO``, once for each set-up; without any secret.

    Args:
        options: the options for steps from now on.
        joined: the joined provider; ``None``: there is none yet, or it takes no span processor.
    """
    provider = "none, steps have a private tracer provider" if joined is None else _class_of(joined)
    if not options.enabled:
        reason = "" if options.project_key else ", or there is no project key"
        info_once("Failpath: steps are not sent: delivery is turned off%s; joined: %s.", reason, provider)
        return
    info_once(
        "Failpath: steps go to %s; journal: %s; joined: %s; rules: %s.",
        options.endpoint,
        options.journal or "none, records wait in memory",
        provider,
        str(len(options.rules or ()) or "none"),
    )


def _class_of(provider: TracerProvider) -> str:
    try:
        return f"{type(provider).__module__}.{type(provider).__qualname__}"
    except Exception:  # noqa: BLE001 - a metaclass of the application's may raise anything
        return "a tracer provider"
