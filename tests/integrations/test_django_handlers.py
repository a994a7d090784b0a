"""The middleware for Django inside of Django's own handlers, beside middlewares that change which view a URL has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import pytest
from django.apps import apps
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.core.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import ResolverMatch, path
from django.utils import translation
from django.utils.decorators import async_only_middleware, sync_only_middleware
from opentelemetry.context import get_current

from failpath_otel.integrations import django as integration
from failpath_otel.integrations.django import run_middleware
from failpath_otel.testing import MockFailpath
from tests.integrations.interruption import interrupted

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
apps.populate(())  # translations need it

Names = tuple[str, str] | None
LOCALE: Final = "django.middleware.locale.LocaleMiddleware"
RUN: Final = f"{__name__}.run"
ID: Final = {"x-request-id": "req-1"}


class Shop:
    """What the views and the middlewares below use; each test has one of its own."""

    failpath: MockFailpath
    closed: list[Names]
    language: str | None
    streams: asyncio.Event
    ended: asyncio.Event


def names() -> Names:
    run = Shop.failpath.current_run()
    return None if run is None else (run.flow_key, run.run_id)


def shown(_: HttpRequest, **__: object) -> HttpResponse:
    return HttpResponse(repr(names()))


async def shown_later(_: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse(repr(names()))


def failing(_: HttpRequest) -> HttpResponse:
    current = Shop.failpath.current_run()
    assert current is not None
    return current.step("fail", lambda: HttpResponse(1 / 0))


def streamed(_: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        for _ in range(2):
            yield repr(names())

    return StreamingHttpResponse(parts())


async def streamed_later(_: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        try:
            while True:
                yield repr(names())
                Shop.streams.set()
        finally:
            await asyncio.sleep(0)
            Shop.closed.append(names())
            Shop.ended.set()

    return StreamingHttpResponse(parts())


async def hanging(_: HttpRequest) -> HttpResponse:
    current = Shop.failpath.current_run()
    assert current is not None
    async with current.step("hang"):
        Shop.streams.set()
        await asyncio.Event().wait()
    return HttpResponse()


class OtherUrls:
    urlpatterns: ClassVar = [path("home", shown, name="other-home"), path("there", shown, name="there")]


urlpatterns = [
    path("home", shown, name="home"),
    path("later", shown_later, name="later"),
    path("failing", failing, name="failing"),
    path("streamed", streamed, name="streamed"),
    path("streamed-later", streamed_later, name="streamed-later"),
    path("hanging", hanging, name="hanging"),
    *i18n_patterns(
        path("list", shown, name="list"),
        path("list-later", shown_later, name="list-later"),
        path("rows", streamed, name="rows"),
        path("rows-later", streamed_later, name="rows-later"),
        prefix_default_language=False,
    ),
]


@sync_only_middleware  # type: ignore[untyped-decorator]
def by_host(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        request.urlconf = OtherUrls
        current = Shop.failpath.current_run()
        if current is not None:
            current.step("choose-host", lambda: None)
        return get_response(request)

    return middleware


@sync_only_middleware  # type: ignore[untyped-decorator]
def only_sync(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return get_response


@async_only_middleware  # type: ignore[untyped-decorator]
def only_async(get_response: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def middleware(request: Any) -> Any:
        return await get_response(request)

    return middleware


def replaces(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        get_response(request)
        return StreamingHttpResponse(repr(names()) for _ in range(2))

    return middleware


def run(get_response: Callable[[Any], Any]) -> Any:
    return run_middleware(Shop.failpath, run_id_header="X-Request-Id")(get_response)


run.sync_capable = run.async_capable = True  # type: ignore[attr-defined]


def run_of_shop(get_response: Callable[[Any], Any]) -> Any:
    return run_middleware(Shop.failpath, flow="shop", run_id_header="X-Request-Id")(get_response)


@pytest.fixture(autouse=True)
def failpath() -> Iterator[MockFailpath]:
    Shop.failpath, Shop.closed, Shop.language = MockFailpath(), [], None
    before = get_current()
    yield Shop.failpath
    assert names() is None
    assert get_current() is before
    Shop.failpath.shutdown(0)


@contextmanager
def site(*middlewares: str) -> Iterator[None]:
    with override_settings(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=[name if "." in name else f"{__name__}.{name}" for name in middlewares],
        USE_I18N=True,
        LANGUAGE_CODE="en",
        LANGUAGES=[("en", "English"), ("de", "German")],
    ):
        if Shop.language is not None:
            translation.activate(Shop.language)
        yield


def get(url: str, *middlewares: str, headers: Any = ID) -> str:
    with site(*middlewares):
        response: Any = Client(raise_request_exception=False).get(url, headers=headers)
        return b"".join(response).decode()


def get_by_asgi(url: str, *middlewares: str, headers: Any = ID) -> str:
    async def ask() -> str:
        response: Any = await AsyncClient(raise_request_exception=False).get(url, headers=headers)
        assert names() is None
        return str(response.content.decode())

    with site(*middlewares):
        return asyncio.run(ask())


EITHER: Final = pytest.mark.parametrize("ask", [get, get_by_asgi])


@EITHER
@pytest.mark.parametrize("order", [("run", LOCALE), (LOCALE, "run")])
@pytest.mark.parametrize("url", ["/de/list", "/de/list-later", "/list", "/list-later"])
def test_the_flow_of_a_url_with_a_language_is_that_of_its_view_before_and_behind_the_middleware_of_languages(
    ask: Callable[..., str], order: Sequence[str], url: str
) -> None:
    Shop.language = "de" if url.startswith("/list") else "en"  # a request before has left the other one
    assert ask(url, *order) == repr((url.rpartition("/")[2], "req-1"))


@EITHER
@pytest.mark.parametrize("between", ["only_sync", "only_async"])
@pytest.mark.parametrize("url", ["/de/list", "/de/list-later", "/home", "/later"])
def test_the_run_reaches_views_of_either_kind_through_middlewares_of_either_kind(
    ask: Callable[..., str], between: str, url: str
) -> None:
    assert ask(url, "run", between, LOCALE) == repr((url.rpartition("/")[2], "req-1"))


@EITHER
def test_the_flow_is_that_of_the_view_where_a_later_middleware_chooses_other_urls(ask: Callable[..., str]) -> None:
    assert ask("/there", "run", "by_host") == "('there', 'req-1')"
    assert Shop.failpath.events == []


@EITHER
def test_a_step_before_that_middleware_is_in_the_flow_of_the_url_until_then_and_both_flows_have_one_run_id(
    ask: Callable[..., str], failpath: MockFailpath
) -> None:
    flow, run_id = eval(ask("/home", "run", "by_host", headers={}))
    assert flow == "other-home"
    assert {(event.flow_key, event.run_id, event.step_key) for event in failpath.events} == {
        ("home", run_id, "choose-host")
    }


@EITHER
def test_the_run_of_the_calling_service_is_that_of_the_whole_request_whatever_its_view(
    ask: Callable[..., str], failpath: MockFailpath
) -> None:
    sent = failpath.run("checkout", run_id="order-17").headers()
    assert ask("/home", "run", "by_host", headers=sent) == "('checkout', 'order-17')"
    assert ask("/there", "run", "by_host", headers=sent) == "('checkout', 'order-17')"
    assert {event.flow_key for event in failpath.events} == {"checkout"}


@EITHER
def test_a_flow_that_is_given_needs_no_url(ask: Callable[..., str], failpath: MockFailpath) -> None:
    assert ask("/there", "run_of_shop", "by_host") == "('shop', 'req-1')"
    assert {event.flow_key for event in failpath.events} == {"shop"}


@EITHER
def test_an_unknown_url_has_no_run_behind_all_middlewares_either(ask: Callable[..., str]) -> None:
    assert "Not Found" in ask("/wp-login.php", "run", LOCALE)


@EITHER
def test_a_view_that_raises_is_answered_by_django_and_leaves_no_run(
    ask: Callable[..., str], failpath: MockFailpath
) -> None:
    assert "Server Error" in ask("/failing", "run")
    assert [(event.flow_key, event.step_key, event.status) for event in failpath.events] == [
        ("failing", "fail", "running"),
        ("failing", "fail", "error"),
    ]


@pytest.mark.parametrize("url", ["/streamed", "/de/rows"])
@pytest.mark.parametrize("around", [(), ("django.middleware.gzip.GZipMiddleware",)])
def test_parts_are_made_in_the_run_of_the_view_also_where_a_middleware_wraps_them(
    url: str, around: Sequence[str]
) -> None:
    assert get(url, *around, "run", LOCALE) == 2 * repr((url.rpartition("/")[2], "req-1"))


def test_a_response_that_a_middleware_puts_in_the_place_of_the_views_is_made_in_the_run_where_that_is_behind() -> None:
    assert get("/home", "run", "replaces") == 2 * "('home', 'req-1')"
    assert get("/home", "replaces", "run") == 2 * "None"


class Connection:
    """A client of the application by ASGI, that goes away when it wants to."""

    def __init__(self, url: str) -> None:
        self.sent: list[bytes] = []
        self._receives: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "http", "method": "GET", "path": url, "query_string": b"", "scheme": "http"}
        headers = [(b"host", b"shop"), (b"x-request-id", b"req-1")]
        self._receives.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self._task = asyncio.ensure_future(ASGIHandler()({**scope, "headers": headers}, self._receives.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message.get("body", b""))
        await asyncio.sleep(0)

    async def go_away(self) -> None:
        await self._receives.put({"type": "http.disconnect"})
        await asyncio.wait_for(self._task, 30)


@pytest.mark.parametrize("url", ["/streamed-later", "/de/rows-later"])
def test_a_client_that_goes_away_closes_the_stream_and_its_last_lines_run_in_the_run(url: str) -> None:
    async def serve() -> list[bytes]:
        Shop.streams, Shop.ended = asyncio.Event(), asyncio.Event()
        connection = Connection(url)
        await asyncio.wait_for(Shop.streams.wait(), 30)
        await connection.go_away()
        await asyncio.wait_for(Shop.ended.wait(), 30)
        assert names() is None
        return connection.sent

    with site("run", LOCALE):
        sent = asyncio.run(asyncio.wait_for(serve(), 30))
    expected = (url.rpartition("/")[2], "req-1")
    assert repr(expected).encode() in sent
    assert Shop.closed == [expected]


def test_a_client_that_goes_away_before_the_response_cancels_the_view_and_its_step(failpath: MockFailpath) -> None:
    async def serve() -> None:
        Shop.streams = asyncio.Event()
        connection = Connection("/hanging")
        await asyncio.wait_for(Shop.streams.wait(), 30)
        await connection.go_away()

    with site("run"):
        asyncio.run(serve())
    assert [(event.step_key, event.status) for event in failpath.events] == [("hang", "running"), ("hang", "error")]


@pytest.mark.parametrize("url", ["/home", "/nowhere"])
def test_an_exception_of_a_signal_handler_leaves_no_run_and_no_request_wherever_it_comes(url: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.resolver_match = ResolverMatch(view, (), {}, url_name="there")
        middleware.process_view(request, view, (), {})
        return HttpResponse()

    factory: Any = run_middleware(Shop.failpath)
    middleware = factory(view)
    request, before, at = RequestFactory().get(url), get_current(), 0
    was_reached = True
    with site():
        while was_reached:
            at += 1
            was_reached = interrupted(integration.__file__, at, lambda: middleware(request))
            assert get_current() is before, at
            assert factory._visits == {}, at
    assert at > 100
