"""A web page of another origin sends steps by OTLP, with OpenTelemetry's SDK, where that origin is allowed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import DEADLINE_MS, Outside
from tests.browser.module_server import BLANK, serving
from tests.gateway.gateways import Gateway, start_gateway
from tests.gateway.requests import json_request, json_span
from tests.integration.peers.node import find_node
from tests.receiver import Receiver, start_receiver, wait_for

TOKEN: Final = "a-secret-token"
PAGE: Final = """<!doctype html>
<meta charset="utf-8"><title>A shop</title>
<script type="importmap">{"imports": {"@opentelemetry/": "/modules/@opentelemetry/"}}</script>
<script type="module">
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";

window.step = (url, runId, headers) => new Promise(resolve => {
  const inner = new OTLPTraceExporter({ url, headers });
  const exporter = {
    export: (spans, done) => inner.export(spans, result => { done(result); resolve(result.code); }),
    forceFlush: () => inner.forceFlush(),
    shutdown: () => inner.shutdown(),
  };
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  provider.getTracer("shop").startSpan("add-to-cart", { attributes: {
    "failpath.flow.key": "shopping", "failpath.step.key": "add-to-cart", "failpath.run.id": runId,
  } }).end();
});
window.ready = true;
</script>
"""


@dataclass(frozen=True)
class Site:
    """A page of an origin that is allowed, the same page of one that is not, and servers that take OTLP."""

    allowed: str
    foreign: str
    receiver: Receiver
    gateway: Gateway


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("shop")
    with serving(PAGE, find_node().modules) as port:
        origin = f"http://127.0.0.1:{port}"
        allow = ("--allow-origin", origin)
        with (
            start_receiver(directory / "local.db", *allow) as receiver,
            start_gateway(receiver.url, directory / "journal", *allow, "--token", TOKEN) as gateway,
        ):
            yield Site(origin, f"http://localhost:{port}", receiver, gateway)


@pytest.fixture
def browser(chromium: tuple[Browser, Outside]) -> Browser:
    return chromium[0]


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_context().new_page()
    page.set_default_timeout(DEADLINE_MS)
    page.goto(url)
    return page


def fetched(page: Page, url: str, body: bytes, **options: Any) -> Any:
    """The status of the response and its text, or the error of the browser."""
    settings = {"method": "POST", "body": body.decode(), "headers": {"Content-Type": "application/json"}, **options}
    code = """([url, settings]) => fetch(url, settings).then(
        async response => [response.status, await response.text()], error => String(error))"""
    return page.evaluate(code, [url, settings])


def test_a_page_of_an_allowed_origin_sends_steps_with_the_sdk_to_receiver_and_gateway(
    browser: Browser, shop: Site
) -> None:
    page = opened(browser, shop.allowed)
    page.wait_for_function("window.ready")
    step = "([url, runId, headers]) => window.step(url, runId, headers)"
    assert page.evaluate(step, [f"{shop.receiver.url}/v1/traces", "to-the-receiver", {}]) == 0
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert page.evaluate(step, [f"{shop.gateway.url}/v1/traces", "to-the-gateway", own]) == 0
    for run_id in ("to-the-receiver", "to-the-gateway"):
        run = wait_for(partial(shop.receiver.run, run_id))
        assert run is not None
        assert (run["flowKey"], run["status"]) == ("shopping", "success")
    # As older exporters send, when a page is closed.
    beacon = "([url, body]) => navigator.sendBeacon(url, new Blob([body], {type: 'application/json'}))"
    body = json_request(json_span(traceId="1" * 32)).decode()
    assert page.evaluate(beacon, [f"{shop.receiver.url}/v1/traces", body])
    wait_for(lambda: shop.receiver.run("1" * 32))
    # The page can read why something is refused.
    status, text = fetched(page, f"{shop.gateway.url}/v1/traces", b"{}")
    assert (status, "Authorization: Bearer" in json.loads(text)["message"]) == (401, True)
    status, text = fetched(page, f"{shop.receiver.url}/v1/metrics", b"{}")
    assert (status, "OTEL_METRICS_EXPORTER=none" in json.loads(text)["message"]) == (404, True)


def test_a_page_of_another_origin_is_refused_by_the_browser_and_by_the_server(browser: Browser, shop: Site) -> None:
    page = opened(browser, shop.foreign + BLANK)
    body = json_request(json_span(traceId="2" * 32))
    for server in (shop.receiver.url, shop.gateway.url):
        # The browser asks first, and then does not send.
        assert "Failed to fetch" in fetched(page, f"{server}/v1/traces", body)
    # Here it sends without asking, and hides the response.
    url = f"{shop.receiver.url}/v1/traces"
    plain = {"mode": "no-cors", "headers": {"Content-Type": "text/plain"}}
    refused = 'failpath_requests_total{code="403",protocol="http",signal="traces"}'
    assert refused not in shop.receiver.request("/metrics").body.decode()
    assert "Failed to fetch" in fetched(page, url, body, **plain)
    assert refused in shop.receiver.request("/metrics").body.decode()
    assert shop.receiver.run("2" * 32) is None


def test_a_page_of_an_allowed_origin_can_do_nothing_but_send(browser: Browser, shop: Site) -> None:
    page = opened(browser, shop.allowed + BLANK)
    event = b'{"events": []}'
    assert "Failed to fetch" in fetched(page, f"{shop.receiver.url}/v1/events", event)
    for path in ("/healthz", "/metrics", "/readyz", "/api/runs", "/api/page/status"):
        for server in (shop.receiver.url, shop.gateway.url):
            assert "Failed to fetch" in page.evaluate("url => fetch(url).then(String, String)", f"{server}{path}")
