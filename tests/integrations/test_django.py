"""The middleware for Django: what a request's run is, and what passes through it."""

import asyncio
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from opentelemetry.context import get_current

from failpath_otel import report
from failpath_otel.integrations import django as integration
from failpath_otel.integrations.django import run_middleware
from failpath_otel.testing import MockFailpath
from tests.integrations.interruption import interrupted

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])


def nothing(_: HttpRequest, **__: object) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("orders/<int:number>", nothing, name="take-order"), path("plain", nothing)]
make: Final = RequestFactory()
GENERATED: Final = re.compile("[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def _all_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture
def failpath() -> Iterator[MockFailpath]:
    client = MockFailpath()
    yield client
    client.shutdown(0)


def names(failpath: MockFailpath) -> tuple[str, str] | None:
    run = failpath.current_run()
    return None if run is None else (run.flow_key, run.run_id)


def serve(failpath: MockFailpath, request: HttpRequest, **options: Any) -> tuple[str, str] | None:
    """Which run is the current one in the view."""
    seen: list[tuple[str, str] | None] = []

    def view(given: HttpRequest) -> HttpResponse:
        assert given is request
        seen.append(names(failpath))
        return answer

    answer = HttpResponse()
    assert run_middleware(failpath, **options)(view)(request) is answer
    assert names(failpath) is None
    return seen[0]


def test_the_flow_is_the_name_of_the_url_pattern_and_the_run_id_that_of_the_header(failpath: MockFailpath) -> None:
    request = make.get("/orders/17", headers={"x-request-id": "req-1"})
    assert serve(failpath, request, run_id_header="X-Request-Id") == ("take-order", "req-1")


def test_the_flow_of_a_pattern_without_a_name_is_the_path_of_its_view(failpath: MockFailpath) -> None:
    found = serve(failpath, make.get("/plain"))
    assert found is not None
    assert found[0].endswith("test_django.nothing")
    assert GENERATED.fullmatch(found[1])


def test_the_run_of_the_calling_service_goes_before_both(failpath: MockFailpath) -> None:
    sent = failpath.run("checkout", run_id="order-17").headers()
    request = make.get("/orders/17", headers={**sent, "x-request-id": "req-1"})
    assert serve(failpath, request, run_id_header="X-Request-Id", flow="shop") == ("checkout", "order-17")


def test_the_flow_is_the_text_or_what_the_function_returns_for_the_request(failpath: MockFailpath) -> None:
    request = make.get("/plain", headers={"x-request-id": "req-1"})
    assert serve(failpath, request, flow="shop", run_id_header="X-Request-Id") == ("shop", "req-1")
    named = serve(failpath, request, flow=lambda given: f"shop {given.method}", run_id_header="X-Request-Id")
    assert named == ("shop GET", "req-1")


def test_a_forged_run_id_is_refused_and_the_request_is_served(failpath: MockFailpath) -> None:
    request = make.get("/plain", headers={"x-request-id": "x" * 201})
    found = serve(failpath, request, flow="shop", run_id_header="X-Request-Id")
    assert found is not None
    assert GENERATED.fullmatch(found[1])


def test_a_request_whose_url_is_unknown_has_no_run(failpath: MockFailpath, caplog: pytest.LogCaptureFixture) -> None:
    assert serve(failpath, make.get("/wp-login.php")) is None
    assert caplog.records == []


@pytest.mark.parametrize("flow", [lambda _: 1 / 0, lambda _: "", lambda _: None, lambda _: "f" * 201])
def test_a_function_for_the_flow_that_fails_costs_the_run_and_not_the_request(
    failpath: MockFailpath, flow: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert serve(failpath, make.get("/plain"), flow=flow) is None
    assert [record.levelno for record in caplog.records] in ([logging.ERROR], [])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"flow": ""}, ValueError),
        ({"flow": 17}, TypeError),
        ({"run_id_header": ""}, ValueError),
        ({"run_id_header": "Authorization"}, ValueError),
    ],
)
def test_a_wrong_option_raises_when_the_middleware_is_made(
    failpath: MockFailpath, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        run_middleware(failpath, **options)


def test_urls_of_a_request_with_a_configuration_of_its_own_are_found_there(failpath: MockFailpath) -> None:
    request = make.get("/orders/17")
    request.urlconf = __name__
    with override_settings(ROOT_URLCONF="nowhere"):
        found = serve(failpath, request)
    assert found is not None
    assert found[0] == "take-order"


def test_the_exception_of_a_view_passes_as_the_same_object(failpath: MockFailpath) -> None:
    error = KeyError("cart")

    def view(_: HttpRequest) -> HttpResponse:
        raise error

    with pytest.raises(KeyError) as caught:
        run_middleware(failpath)(view)(make.get("/plain"))
    assert caught.value is error
    assert names(failpath) is None


def test_requests_on_one_event_loop_have_runs_of_their_own(failpath: MockFailpath) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse(str(names(failpath)))

    async def serve_all() -> list[HttpResponse]:
        handler = run_middleware(failpath, flow="shop", run_id_header="X-Request-Id")(view)
        requests = [make.get("/plain", headers={"x-request-id": f"req-{number}"}) for number in range(5)]
        return list(await asyncio.gather(*map(handler, requests)))

    answers = asyncio.run(serve_all())
    assert [answer.content.decode() for answer in answers] == [str(("shop", f"req-{n}")) for n in range(5)]


def test_a_cancelled_request_is_cancelled_and_leaves_no_run(failpath: MockFailpath) -> None:
    entered = asyncio.Event()

    async def view(_: HttpRequest) -> HttpResponse:
        entered.set()
        await asyncio.Event().wait()
        return HttpResponse()

    async def cancel() -> None:
        task = asyncio.ensure_future(run_middleware(failpath)(view)(make.get("/plain")))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert names(failpath) is None

    asyncio.run(cancel())


def test_parts_of_a_streaming_response_are_made_in_the_run_and_sent_outside_of_it(failpath: MockFailpath) -> None:
    @failpath.step("export")
    def parts() -> Iterator[str]:
        for number in range(2):
            yield f"{number} {names(failpath)} "

    before = get_current()
    handler = run_middleware(failpath, flow="shop", run_id_header="X-Request-Id")
    request = make.get("/plain", headers={"x-request-id": "req-1"})
    response = handler(lambda _: StreamingHttpResponse(parts()))(request)
    assert failpath.events == []
    sent = b""
    for part in response:
        sent += part
        assert names(failpath) is None
        assert get_current() is before
    assert sent.decode() == "0 ('shop', 'req-1') 1 ('shop', 'req-1') "
    assert [(event.run_id, event.step_key, event.status) for event in failpath.events] == [
        ("req-1", "export", "running"),
        ("req-1", "export", "success"),
    ]


def test_a_streaming_response_whose_client_goes_away_is_closed(failpath: MockFailpath) -> None:
    closed: list[str] = []

    def parts() -> Iterator[str]:
        try:
            yield "0"
            yield "1"
        finally:
            closed.append("parts")

    response = run_middleware(failpath)(lambda _: StreamingHttpResponse(parts()))(make.get("/plain"))
    assert next(iter(response)) == b"0"
    response.close()
    assert closed == ["parts"]


def test_the_exception_of_a_streaming_response_passes_as_the_same_object(failpath: MockFailpath) -> None:
    error = OSError("no disk")

    def parts() -> Iterator[str]:
        yield "0"
        raise error

    response = run_middleware(failpath)(lambda _: StreamingHttpResponse(parts()))(make.get("/plain"))
    before = get_current()
    with pytest.raises(OSError, match="no disk") as caught:
        list(response)
    assert caught.value is error
    assert get_current() is before


def test_parts_of_an_asynchronous_streaming_response_are_made_in_the_run_too(failpath: MockFailpath) -> None:
    async def parts() -> AsyncIterator[str]:
        run = failpath.current_run()
        assert run is not None
        for number in range(2):
            async with run.step("export"):
                await asyncio.sleep(0)
            yield f"{number} {names(failpath)} "

    async def view(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(parts())

    async def send() -> bytes:
        handler = run_middleware(failpath, flow="shop", run_id_header="X-Request-Id")(view)
        response = await handler(make.get("/plain", headers={"x-request-id": "req-1"}))
        sent = b""
        async for part in response:
            sent += part
            assert names(failpath) is None
        return sent

    assert asyncio.run(send()).decode() == "0 ('shop', 'req-1') 1 ('shop', 'req-1') "
    assert [event.status for event in failpath.events] == ["running", "success"] * 2


class Rows:
    """Asynchronous parts that are no generator."""

    def __init__(self, *parts: str | Exception) -> None:
        self._parts = list(parts)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        await asyncio.sleep(0)
        if not self._parts:
            raise StopAsyncIteration
        part = self._parts.pop(0)
        if isinstance(part, Exception):
            raise part
        return part


def test_the_exception_of_an_asynchronous_streaming_response_passes_as_the_same_object(failpath: MockFailpath) -> None:
    error = OSError("no disk")

    async def view(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(Rows("0", error))

    async def send() -> None:
        response = await run_middleware(failpath)(view)(make.get("/plain"))
        before = get_current()
        with pytest.raises(OSError, match="no disk") as caught:
            async for part in response:
                assert part == b"0"
        assert caught.value is error
        assert get_current() is before

    asyncio.run(send())


@pytest.mark.parametrize("read", [0, 1, 2])
def test_an_asynchronous_response_that_is_closed_has_no_more_parts(failpath: MockFailpath, read: int) -> None:
    async def view(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(Rows("0", "1"))

    async def send() -> None:
        response = await run_middleware(failpath)(view)(make.get("/plain"))
        parts = aiter(response)
        assert [await anext(parts) for _ in range(read)] == [b"0", b"1"][:read]
        response.close()
        assert [part async for part in parts] == []

    asyncio.run(send())


def test_a_file_is_left_to_the_server_which_sends_it_without_reading_it(failpath: MockFailpath) -> None:
    content = BytesIO(b"rows")
    response = run_middleware(failpath)(lambda _: FileResponse(content))(make.get("/plain"))
    assert response.file_to_stream is content


def test_a_response_that_cannot_be_continued_is_returned_as_it_is(
    failpath: MockFailpath, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        streaming = True

        @property
        def streaming_content(self) -> object:
            raise OSError

    odd = Odd()
    assert run_middleware(failpath)(lambda _: odd)(make.get("/plain")) is odd
    assert len(caplog.records) == 1


def test_an_exception_of_a_signal_handler_leaves_no_run_wherever_it_comes_in_a_streaming_response(
    failpath: MockFailpath,
) -> None:
    before, at = get_current(), 0
    was_reached = True
    while was_reached:
        at += 1
        response = run_middleware(failpath)(lambda _: StreamingHttpResponse(iter("ab")))(make.get("/plain"))
        was_reached = interrupted(integration.__file__, at, lambda: list(response))  # noqa: B023 - called at once
        assert get_current() is before, at
    assert at > 50


def test_the_module_is_imported_and_the_middleware_made_without_django(
    failpath: MockFailpath, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("django", "django.urls", "asgiref", "asgiref.sync"):
        monkeypatch.setitem(sys.modules, name, None)
    code = compile(Path(integration.__file__).read_text(), integration.__file__, "exec")
    module: dict[str, Any] = {"__name__": "failpath_otel.integrations.django"}
    exec(code, module)
    assert module["run_middleware"](failpath, flow="shop").async_capable
