"""Logfire, with all calls of ``requests`` traced."""

import os
from typing import Any

import logfire

from tests.neighbours.programs.application import main


class Logfire:
    def set_up(self) -> None:
        logfire.configure(
            token="pylf_v1_local_0123456789",
            service_name="shop",
            console=False,
            metrics=False,
            inspect_arguments=False,
            advanced=logfire.AdvancedOptions(base_url=os.environ["BACKEND"]),
        )
        logfire.instrument_requests()

    def span(self, name: str) -> Any:
        return logfire.span(name)

    def report(self, error: Exception) -> None:
        logfire.error("reported {error}", error=str(error))

    def flush(self) -> None:
        logfire.force_flush()


if __name__ == "__main__":
    main(Logfire())
