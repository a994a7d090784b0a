"""Django: a middleware that opens a run for each request."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, Final

from opentelemetry.context import Context, attach, get_current

from failpath_otel import limits
from failpath_otel.report import exception_once
from failpath_otel.steps.client import Failpath
from failpath_otel.steps.keys import check_header, check_key
from failpath_otel.steps.run import Run
from failpath_otel.steps.step_tracer import leave_context

# Requests and responses are Django's, which has no types of its own and is not imported here.
Flow = str | Callable[[Any], str] | None
Handler = Callable[[Any], Any]
_END: Final[Any] = object()


def run_middleware(
    failpath: Failpath, *, flow: Flow = None, run_id_header: str | None = None
) -> Callable[[Handler], Handler]:
    """Return a middleware for Django's setting ``MIDDLEWARE``, under WSGI and ASGI: each request is the current run.

    The run is the one that the request's headers name, as in :meth:`Failpath.run_from_headers`, else a new one. A
    request without steps is not reported. Steps of a streaming response belong to the run as well. Exceptions and
    responses pass unchanged; a request whose URL is unknown gets no run.

    Args:
        failpath: the client whose steps the views open.
        flow: the flow key of requests whose headers name none: a text, or a function that returns it for a request.
            Default: the name of the URL pattern, as ``"take-order"`` or ``"shop:take-order"``, else the path of the
            view function.
        run_id_header: as in :meth:`Failpath.run_from_headers`: ``"X-Request-Id"``.

    Raises:
        TypeError: ``flow`` is neither a string nor a function, or ``run_id_header`` is not a string.
        ValueError: one of them is empty or too long, or ``run_id_header`` looks like the name of a secret.

    Example:
        >>> from failpath_otel.integrations.django import run_middleware
        >>> failpath_run = run_middleware(failpath, run_id_header="X-Request-Id")  # in shop/failpath.py
        >>> MIDDLEWARE = ["shop.failpath.failpath_run"]  # in settings.py
    """
    check_header(run_id_header)
    if flow is not None and not callable(flow):
        check_key("flow", flow)
    return _MiddlewareFactory(failpath, flow, run_id_header)


class _MiddlewareFactory:
    """What Django calls once, with the next handler."""

    sync_capable: Final = True
    async_capable: Final = True

    def __init__(self, failpath: Failpath, flow: Flow, run_id_header: str | None) -> None:
        self._failpath: Final = failpath
        self._flow: Final = flow
        self._run_id_header: Final = run_id_header

    def __call__(self, get_response: Handler) -> Handler:
        # A part of every Django since 3.0.
        from asgiref.sync import iscoroutinefunction  # noqa: PLC0415

        return (
            self._asynchronous(get_response) if iscoroutinefunction(get_response) else self._synchronous(get_response)
        )

    def _synchronous(self, get_response: Handler) -> Handler:
        def middleware(request: Any) -> Any:  # noqa: ANN401 - Django's
            run = self._run_of(request)
            if run is None:
                return get_response(request)
            with run:
                response = get_response(request)
                _stream_inside(response)
            return response

        return middleware

    def _asynchronous(self, get_response: Callable[[Any], Awaitable[Any]]) -> Handler:
        async def middleware(request: Any) -> Any:  # noqa: ANN401 - Django's
            run = self._run_of(request)
            if run is None:
                return await get_response(request)
            async with run:
                response = await get_response(request)
                _stream_inside(response)
            return response

        return middleware

    def _run_of(self, request: Any) -> Run | None:  # noqa: ANN401 - Django's
        try:
            flow = self._flow_of(request)
            if flow is None:
                return None
            # Django derives the variables of WSGI under ASGI too. `request.headers` would copy all of them.
            return self._failpath.run_from_headers(request.META, flow=flow, run_id_header=self._run_id_header)
        except Exception:  # noqa: BLE001 - the function of the application that returns the flow may raise anything
            exception_once("opening the run of a request")
            return None

    def _flow_of(self, request: Any) -> str | None:  # noqa: ANN401 - Django's
        if self._flow is not None:
            return self._flow(request) if callable(self._flow) else self._flow
        urls: Any = import_module("django.urls")  # has no types, and may not be installed where they are checked
        try:
            match = urls.resolve(request.path_info, getattr(request, "urlconf", None))
        except urls.Resolver404:
            return None
        return str(match.view_name)[: limits.MAX_KEY_CHARS]


def _stream_inside(response: Any) -> None:  # noqa: ANN401 - Django's
    """Have the parts of a streaming response made in the current context, in which the run is the current one.

    Django asks for them when all middlewares have returned. An open file is left alone, because servers send it
    without reading it.
    """
    try:
        if not getattr(response, "streaming", False) or getattr(response, "file_to_stream", None) is not None:
            return
        # A copy: the end of the run's block may change its context.
        inside = Context(get_current())
        parts = response.streaming_content
        response.streaming_content = _asynchronous(inside, parts) if response.is_async else _synchronous(inside, parts)
    except Exception:  # noqa: BLE001 - a response of the application may be of any kind
        exception_once("continuing the run of a request in its streaming response")


def _synchronous(inside: Context, parts: Iterable[Any]) -> Iterator[Any]:
    iterator = iter(parts)
    while True:
        before, token = get_current(), None
        try:
            token = attach(inside)
            part = next(iterator, _END)
            leave_context(inside, before, token)
        except BaseException:  # also of a signal handler, at any point
            leave_context(inside, before, token)
            raise
        if part is _END:
            return
        yield part


async def _asynchronous(inside: Context, parts: AsyncIterable[Any]) -> AsyncIterator[Any]:
    iterator = aiter(parts)
    while True:
        before, token = get_current(), None
        try:
            token = attach(inside)
            part = await anext(iterator, _END)
            leave_context(inside, before, token)
        except BaseException:
            leave_context(inside, before, token)
            raise
        if part is _END:
            return
        yield part
