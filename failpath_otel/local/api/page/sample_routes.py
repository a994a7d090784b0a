"""Loads and removes the sample, for the page."""

import socket

from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.page.route import route
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.sample import FLOWS as SAMPLE_FLOWS
from failpath_otel.local.sample import sample_events
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import ReceivedEvent


class SampleRoutes:
    """The routes of the sample."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [route("sample", self.load_sample, "POST", 201), route("sample", self.remove_sample, "DELETE")]

    def load_sample(self, _request: Request) -> dict[str, int]:
        """Store the sample as if it had been sent."""
        self.remove_sample(_request)  # or it would be there twice
        now = self._receiver.clock()
        received_events = [ReceivedEvent(decode_event(text), text) for text in sample_events(now, socket.gethostname())]
        runs = {RunKey(event.flow_key, event.run_id) for event, _ in received_events}
        self._receiver.store.add(received_events, now)
        for _ in runs:  # each call projects at least one, and mostly all of them
            self._receiver.projector.catch_up()
        return {"runs": len(runs)}

    def remove_sample(self, _request: Request) -> dict[str, int]:
        """Delete the flows of the sample."""
        gone = sum(self._receiver.store.delete_flow(flow_key) for flow_key in SAMPLE_FLOWS)
        self._receiver.runs_deleted(gone)
        return {"runs": gone}
