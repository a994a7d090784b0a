"""Langfuse, with its own choice of what it exports, or with the steps as well."""

import os
from typing import Any

from langfuse import Langfuse, get_client
from langfuse.span_filter import is_default_export_span
from opentelemetry.sdk.trace import ReadableSpan

from tests.neighbours.programs.application import main


def exported(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return bool(is_default_export_span(span)) or (scope is not None and scope.name == "failpath_otel")


class OfLangfuse:
    def set_up(self) -> None:
        more: dict[str, Any] = {}
        if os.environ.get("EXPORT_STEPS"):
            more["should_export_span"] = exported
        Langfuse(public_key="pk-lf-local", secret_key="sk-lf-local", base_url=os.environ["BACKEND"], **more)

    def span(self, name: str) -> Any:
        return get_client().start_as_current_observation(name=name, as_type="span")

    def report(self, error: Exception) -> None:
        get_client().update_current_span(level="ERROR", status_message=str(error))

    def flush(self) -> None:
        get_client().flush()


if __name__ == "__main__":
    main(OfLangfuse())
