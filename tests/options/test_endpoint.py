"""The endpoint: what is taken and in which form, and what is refused without showing a secret."""

from collections.abc import Callable

import pytest

import failpath_otel
from failpath_otel import ConfigurationError, FailpathSpanExporter, FailpathSpanProcessor
from failpath_otel.options.options import Options
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.spans.foreign import a_span, tracer_with

HIDDEN = "hidden"
MAKERS = pytest.mark.parametrize(
    "make", [failpath_otel.configure, FailpathSpanProcessor, FailpathSpanExporter], ids=lambda made: str(made.__name__)
)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("http://127.0.0.1:3001", "http://127.0.0.1:3001"),
        ("https://api.failpath.dev", "https://api.failpath.dev"),
        ("HTTP://LOCALHOST", "HTTP://LOCALHOST"),
        ("http://[::1]:3001", "http://[::1]:3001"),
        ("http://127.0.0.1:3001/", "http://127.0.0.1:3001"),
        ("http://127.0.0.1:3001///", "http://127.0.0.1:3001"),
        (" http://127.0.0.1:3001// \n", "http://127.0.0.1:3001"),
        ("http://127.0.0.1:3001/behind/a/proxy", "http://127.0.0.1:3001/behind/a/proxy"),
        ("http://127.0.0.1:3001/behind/a/proxy/", "http://127.0.0.1:3001/behind/a/proxy"),
    ],
)
def test_bad_input_slashes_and_blanks_around_an_endpoint_are_taken_off_and_a_path_is_kept(
    given: str, read: str
) -> None:
    assert Options.resolve(project_key=KEY, endpoint=given).endpoint == read


@pytest.mark.parametrize(("more", "path"), [("/", "/v1/events"), ("/a", "/a/v1/events"), ("/a/b/", "/a/b/v1/events")])
def test_bad_input_a_slash_or_a_path_at_the_end_gives_one_clean_route(
    server: FaultServer, new_processor: Callable[..., FailpathSpanProcessor], more: str, path: str
) -> None:
    processor = new_processor(server.url + more)
    tracer_with(processor).start_span("s", attributes=dict(a_span().attributes or {})).end()
    assert processor.flush()
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url + more)
    exporter.export([a_span()])
    exporter.shutdown()
    assert {request.path for request in server.requests} == {path}


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "   ",
        "/",
        "127.0.0.1:3001",
        "localhost",
        "/v1/events",
        "http:/127.0.0.1",
        "http//127.0.0.1",
        "://127.0.0.1",
        "http://",
        "http://:3001",
        "http:// ",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://127 0 0 1",
        "http://127.0.0.1/a b\nc",
        "http://127.0.0.1:3001\x00",
        "\ud800",
        7,
        b"http://127.0.0.1",
        ["http://127.0.0.1"],
        True,
    ],
    ids=repr,
)
@MAKERS
def test_bad_input_an_endpoint_that_is_no_url_is_refused_with_what_is_allowed(
    make: Callable[..., object], endpoint: object
) -> None:
    with pytest.raises(ConfigurationError, match=r"endpoint must be an http:// or https:// URL.*, got "):
        make(project_key=KEY, endpoint=endpoint)


@pytest.mark.parametrize("scheme", ["ftp", "file", "ws", "unix", "httpx", "grpc+tls", "javascript"])
@MAKERS
def test_bad_input_an_endpoint_with_another_scheme_is_refused(make: Callable[..., object], scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint must be an http:// or https:// URL") as refused:
        make(project_key=KEY, endpoint=f"{scheme}://{HIDDEN}/{HIDDEN}")
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://user:hidden@127.0.0.1",
        "http://hidden@127.0.0.1",
        "http://hidden:@127.0.0.1",
        "http://user:hidden@127.0.0.1:port",
        "http://user:hid#hidden@127.0.0.1",
        "http://user:hidden?x@127.0.0.1",
        "http://127.0.0.1/?key=hidden",
        "http://127.0.0.1/#hidden",
        "http://127.0.0.1/hidden@there",
        "ftp://user:hidden@127.0.0.1",
        "user:hidden@127.0.0.1",
        "fp_project_hidden",
        "fp_project_hidden://127.0.0.1",
        f"http://{'x' * 300}hidden@127.0.0.1",
    ],
)
@MAKERS
def test_bad_input_a_secret_in_an_endpoint_is_refused_and_not_shown(make: Callable[..., object], endpoint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make(project_key=KEY, endpoint=endpoint)
    assert "hid" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("endpoint", ["http://user:hidden@127.0.0.1", "ftp://hidden.example", "fp_project_hidden"])
def test_bad_input_a_secret_in_the_variable_of_the_endpoint_is_not_shown_either(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", endpoint)
    with pytest.raises(ConfigurationError, match="FAILPATH_DEV_ENDPOINT must be") as refused:
        Options.resolve(project_key=KEY)
    assert "hidden" not in str(refused.value)
