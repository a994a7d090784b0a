"""Sentry with its default integrations, all transactions sampled."""

import os
from typing import Any

import sentry_sdk

from tests.neighbours.programs.application import PATIENCE, main


class Sentry:
    def set_up(self) -> None:
        sentry_sdk.init(dsn=os.environ["BACKEND"].replace("://", "://key@") + "/1", traces_sample_rate=1.0)

    def span(self, name: str) -> Any:
        if sentry_sdk.get_current_span() is None:
            return sentry_sdk.start_transaction(name=name, op="task")
        return sentry_sdk.start_span(name=name, op="task")

    def report(self, error: Exception) -> None:
        sentry_sdk.capture_exception(error)

    def flush(self) -> None:
        sentry_sdk.flush(PATIENCE)


if __name__ == "__main__":
    main(Sentry())
