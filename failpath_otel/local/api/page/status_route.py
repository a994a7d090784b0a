"""The state of the receiver, for the page."""

from starlette.requests import Request
from starlette.routing import Route

from failpath_otel._version import __version__
from failpath_otel.local.api.page import answers
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.flows.flows import MAX_ATTEMPTS
from failpath_otel.local.flows.statistics import WINDOW
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.sample import FLOWS as SAMPLE_FLOWS


class StatusRoute:
    """The route of the state of a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """The route."""
        return [route("status", self.status)]

    def status(self, request: Request) -> answers.StatusAnswer:
        """Return the state of the receiver: its limits, and what it holds."""
        receiver, store = self._receiver, self._receiver.store
        revision, now = heading(self._receiver)
        pruned = store.pruned()
        keys = receiver.flows.known()
        return answers.StatusAnswer(
            version=__version__,
            store_id=store.runs.store_id(),
            revision=revision,
            now=now,
            url=f"{request.url.scheme}://{request.url.netloc}",
            runs=store.runs.count(),
            flows=len(keys),
            window=WINDOW,
            window_attempts=MAX_ATTEMPTS,
            trace_url=receiver.settings.trace_url,
            keep=answers.Keep(receiver.settings.days, receiver.settings.mebibytes),
            pruned=answers.Pruned(
                pruned.runs, None if pruned.newest_activity is None else to_rfc3339(pruned.newest_activity)
            ),
            flows_file=None if receiver.settings.flows is None else str(receiver.settings.flows),
            sample=any(key in SAMPLE_FLOWS for key in keys),
            pinned=store.pins.count(),
            read_only=store.read_only,
        )
