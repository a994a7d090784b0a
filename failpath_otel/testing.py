"""For the tests of applications: a client that keeps its records in memory. Needs no key and no network."""

import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from opentelemetry.trace import NoOpTracerProvider

from failpath_otel.configure import FailpathClient
from failpath_otel.delivery.memory import Memory
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.sender import NullClient
from failpath_otel.joined_providers import Join
from failpath_otel.options import checks
from failpath_otel.options.options import Options
from failpath_otel.records.compact import json_of
from failpath_otel.records.record import ErrorInfo as ErrorInfo
from failpath_otel.records.record import Record as Record
from failpath_otel.report import exception_once

OnEvent = Callable[[Record], object]


class MockFailpath(FailpathClient):
    """A client like that of :func:`failpath_otel.configure`, whose records stay in :attr:`events`.

    Steps run through the same code as in production, up to and including the encoded record. Nothing is sent, no
    environment variable of this package is read, and no global object is changed, so any number of mocks can exist side
    by side. With ``OTEL_SDK_DISABLED=true``, nothing is recorded, as in production, and a warning reports this.

    Args:
        default_metadata: JSON-like values for every record; those of the run and the step take precedence.
        capture_stack: put the stack trace of an error into its record. Default: off.
        on_event: called with each record, on the thread of the step; an exception that it raises is logged once.

    Raises:
        ConfigurationError: an argument has the wrong type.

    Example:
        >>> from failpath_otel.testing import MockFailpath
        >>> failpath = MockFailpath()
        >>> failpath.run("checkout", run_id="order-17").step("charge-card", lambda: "ch_1")
        'ch_1'
        >>> [(event.step_key, event.status) for event in failpath.events]
        [('charge-card', 'running'), ('charge-card', 'success')]
    """

    def __init__(
        self,
        *,
        default_metadata: Mapping[str, object] | None = None,
        capture_stack: bool = False,
        on_event: OnEvent | None = None,
    ) -> None:
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            warnings.warn("OTEL_SDK_DISABLED=true: no step will be recorded", RuntimeWarning, stacklevel=2)
        options = Options(
            project_key="fp_project_mock",
            endpoint="http://mock.invalid",
            default_metadata=None
            if default_metadata is None
            else checks.metadata("default_metadata", default_metadata),
            capture_stack=checks.flag("capture_stack", capture_stack),
            metrics=False,
        )
        self._events: Final[list[Record]] = []
        if on_event is not None:
            checks.callback("on_event", on_event)
        super().__init__(
            NoOpTracerProvider(), Join(options, lambda _: _ArrivedRecords(self._events, on_event).pipeline)
        )

    @property
    def events(self) -> list[Record]:
        """The records so far, in the order in which they were made; a new list each time.

        Example:
            >>> from failpath_otel.testing import MockFailpath
            >>> failpath = MockFailpath()
            >>> failpath.run("checkout", run_id="order-17").skip("send-receipt-email")
            >>> [(event.step_key, event.status) for event in failpath.events]
            [('send-receipt-email', 'skipped')]
        """
        return list(self._events)

    def reset(self) -> None:
        """Remove the records so far. A step that is open still adds its outcome.

        Example:
            >>> from failpath_otel.testing import MockFailpath
            >>> failpath = MockFailpath()
            >>> failpath.run("checkout", run_id="order-17").skip("send-receipt-email")
            >>> failpath.reset()
            >>> failpath.events
            []
        """
        self._events.clear()


class _ArrivedRecords(Memory):
    """The memory of a pipeline in which every record has arrived as soon as it is put."""

    def __init__(self, events: list[Record], on_event: OnEvent | None) -> None:
        super().__init__()
        self._events: Final = events
        self._on_event: Final = on_event
        self._of_this_thread: Final = _EventsOfThread()
        self.pipeline: Final = Pipeline(NullClient(), memory=self, after_put=self._call_on_event)

    def add(self, record: bytes) -> None:
        event = msgspec.json.decode(json_of(record), type=Record)
        queue = self.pipeline.queue
        self.pipeline.ledger.deliver(queue.accepted)
        queue.taken = queue.accepted  # or a thread would look for it without end
        self._events.append(event)
        if self._on_event is not None:
            self._of_this_thread.events.append(event)

    def _call_on_event(self) -> None:
        # Not under the lock: a callback may wait for another thread, which has a step of its own.
        while self._on_event is not None and self._of_this_thread.events:
            event = self._of_this_thread.events.popleft()
            try:
                self._on_event(event)
            except Exception:  # noqa: BLE001 - a callback of the user's may raise anything
                exception_once("calling on_event")


class _EventsOfThread(threading.local):
    """The records of this thread with which the callback was not called yet."""

    def __init__(self) -> None:
        self.events: deque[Record] = deque()
