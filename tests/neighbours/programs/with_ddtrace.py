"""ddtrace, with the libraries in ``PATCH`` traced, or all (``auto``), or with what ``ddtrace-run`` has done."""

import os
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from tests.neighbours.programs.application import main


class Datadog:
    def set_up(self) -> None:
        patch = os.environ["PATCH"]
        if patch == "auto":
            import_module("ddtrace.auto")
        elif patch:
            import_module("ddtrace").patch(**dict.fromkeys(patch.split(","), True))

    @property
    def tracer(self) -> Any:
        return import_module("ddtrace.trace").tracer

    def span(self, name: str) -> AbstractContextManager[object]:
        span: AbstractContextManager[object] = self.tracer.trace(name)
        return span

    def report(self, error: Exception) -> None:
        self.tracer.current_span().set_exc_info(type(error), error, error.__traceback__)

    def flush(self) -> None:
        self.tracer.flush()


if __name__ == "__main__":
    main(Datadog())
