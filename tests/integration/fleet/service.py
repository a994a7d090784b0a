"""One service of a fleet: a process with OpenTelemetry's own SDK and exporter, which serves a request by a step.

    python -m tests.integration.fleet.service NAME OTLP LEDGER [URL OF THE NEXT SERVICE]

It prints its URL, and ends with the first line of its input. The service ``storefront`` gets no requests; it makes runs
until then, on two threads. At its end each has written into its ledger, a line for each step: the trace, the span, the
run, the key and the outcome.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import get_current_span

from failpath_otel import Failpath

FLOW: Final = "order"
STEPS: Final = {"storefront": "take-order", "billing": "charge", "warehouse": "reserve", "mail": "send-receipt"}
"""The services in the order in which they call each other, and the step of each."""

PLAIN: Final = frozenset({"billing", "mail"})
"""Services that know nothing of this package: their steps are plain spans with the attributes of the contract."""

MARKING: Final = "warehouse"
"""The service that marks the starts of its steps."""

_FAILS: Final = 7
"""Of so many receipts one cannot be sent."""

_THREADS: Final = 2


class OutOfPaperError(Exception):
    """What a step fails with."""


class Service:
    """The steps of one service."""

    def __init__(self, name: str, otlp: str, next_url: str) -> None:
        self.name: Final = name
        resource = Resource({"service.name": name})
        # Ends with the process's own words, and not by `atexit`.
        self.provider: Final = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{otlp}/v1/traces", compression=Compression.Gzip, timeout=30)
        # An SDK drops what exceeds its queue; here that is told from what others lose by never letting it come to it.
        processor = BatchSpanProcessor(
            exporter, max_queue_size=100_000, schedule_delay_millis=50, max_export_batch_size=32
        )
        self.provider.add_span_processor(processor)
        self._tracer: Final = self.provider.get_tracer("shop")
        self._failpath: Final = Failpath(tracer_provider=self.provider, start_markers=name == MARKING)
        self._next: Final = urlsplit(next_url)
        self.lines: Final[list[str]] = []

    def serve(self, headers: Mapping[str, str]) -> None:
        """Does what a request asks for, in the trace and the run that it names."""
        run_id = unquote(headers["failpath-run-id"])
        outcome = "success"
        try:
            self._perform(run_id, headers)
        except OutOfPaperError:
            outcome = "error"
        self.lines.append(f"{self._span} {run_id} {STEPS[self.name]} {outcome}")

    def _perform(self, run_id: str, headers: Mapping[str, str]) -> None:
        step = STEPS[self.name]
        if self.name in PLAIN:
            identity = {"failpath.flow.key": FLOW, "failpath.step.key": step, "failpath.run.id": run_id}
            with self._tracer.start_as_current_span(f"{self.name} {step}", extract(headers), attributes=identity):
                self._work(run_id)
        else:
            with self._failpath.run_from_headers(headers).step(step):
                self._work(run_id)

    def _work(self, run_id: str) -> None:
        context = get_current_span().get_span_context()
        _seen.span = f"{context.trace_id:032x} {context.span_id:016x}"
        with self._tracer.start_as_current_span("SELECT"):  # and spans that are no steps
            pass
        if self._next.hostname:
            headers = self._failpath.run(FLOW, run_id=run_id).headers()
            inject(headers)
            connection = HTTPConnection(self._next.hostname, self._next.port or 80, timeout=60)
            connection.request("POST", "/", b"", headers)
            status = connection.getresponse().status
            connection.close()
            assert status == 200, status
        elif number_of(run_id) % _FAILS == 0:
            raise OutOfPaperError(run_id)

    @property
    def _span(self) -> str:
        span: str = _seen.span
        return span


_seen: Final = threading.local()


def number_of(run_id: str) -> int:
    return int(run_id.rpartition("-")[2])


def serving(service: Service) -> Callable[..., BaseHTTPRequestHandler]:
    """A handler of requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.serve({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def make_runs(service: Service, thread: int, over: threading.Event) -> None:
    number = thread
    while not over.is_set():
        headers = Failpath(tracer_provider=service.provider).run(FLOW, run_id=f"order-{number}").headers()
        service.serve(headers)
        number += _THREADS


def main(name: str, otlp: str, ledger: str, next_url: str = "") -> None:
    """Runs the service."""
    service = Service(name, otlp, next_url)
    over = threading.Event()
    if name == "storefront":
        print("ready", flush=True)
        threads = [threading.Thread(target=make_runs, args=(service, number, over)) for number in range(_THREADS)]
    else:
        server = ThreadingHTTPServer(("127.0.0.1", 0), serving(service))
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        threads = [threading.Thread(target=server.serve_forever, daemon=True)]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    over.set()
    if name == "storefront":
        for thread in threads:
            thread.join()
    service.provider.shutdown()
    Path(ledger).write_text("".join(f"{line}\n" for line in service.lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
