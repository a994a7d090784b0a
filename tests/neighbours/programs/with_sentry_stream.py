"""Sentry with its default integrations, sending each span when it ends in place of whole transactions."""

import os
from typing import Any

import sentry_sdk

from tests.neighbours.programs.application import main
from tests.neighbours.programs.with_sentry import Sentry


class StreamingSentry(Sentry):
    def set_up(self) -> None:
        dsn = os.environ["BACKEND"].replace("://", "://key@") + "/1"
        sentry_sdk.init(dsn=dsn, traces_sample_rate=1.0, trace_lifecycle="stream")

    def span(self, name: str) -> Any:
        return sentry_sdk.traces.start_span(name)


if __name__ == "__main__":
    main(StreamingSentry())
