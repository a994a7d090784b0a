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

    It can stand first: the view has the run of its own URL also where a later middleware chooses the language or other
    URLs. Steps of middlewares before that have the flow of the URL until then, or none; the run id is the same.

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
        # Those that are being handled, by their ids: what is set on a request would be copied and pickled with it.
        self._visits: Final[dict[int, _Visit]] = {}

    def __call__(self, get_response: Handler) -> Handler:
        # A part of every Django since 3.0.
        from asgiref.sync import iscoroutinefunction  # noqa: PLC0415

        is_async = iscoroutinefunction(get_response)
        middleware: Any = self._asynchronous(get_response) if is_async else self._synchronous(get_response)
        if self._flow is None:
            # Django adapts one of the other kind, which takes another thread.
            middleware.process_view = self._process_view_later if is_async else self._process_view
        return middleware  # type: ignore[no-any-return]

    def _synchronous(self, get_response: Handler) -> Handler:
        def middleware(request: Any) -> Any:  # noqa: ANN401 - Django's
            with _Visit(self._visits, request) as visit:
                self._begin(visit)
                response = get_response(request)
                visit.continue_in(response)
                visit.leave()  # inside: after an exception of a signal handler in it, the end of the block does it
            return response

        return middleware

    def _asynchronous(self, get_response: Callable[[Any], Awaitable[Any]]) -> Handler:
        async def middleware(request: Any) -> Any:  # noqa: ANN401 - Django's
            with _Visit(self._visits, request) as visit:
                self._begin(visit)
                response = await get_response(request)
                visit.continue_in(response)
                visit.leave()  # inside: after an exception of a signal handler in it, the end of the block does it
            return response

        return middleware

    def _begin(self, visit: "_Visit") -> None:
        """Enter the run of a request, if its flow is known."""
        visit.begin()
        try:
            flow = self._flow_of(visit.request)
            if flow is not None:
                self._enter(visit, flow)
        except Exception:  # noqa: BLE001 - the function of the application that returns the flow may raise anything
            exception_once("opening the run of a request")

    def _process_view(self, request: Any, *_: object) -> None:  # noqa: ANN401 - Django's
        """Enter the run of the view that Django has found, where that is not the one from before.

        Middlewares in between may have chosen the language, other URLs (``request.urlconf``) or another path.
        """
        try:
            visit = self._visits.get(id(request))
            if visit is not None:
                flow = _name_of(request.resolver_match)
                if flow != visit.flow:
                    self._enter(visit, flow)
        except Exception:  # noqa: BLE001 - a request of the application may be of any kind
            exception_once("opening the run of a request's view")

    async def _process_view_later(self, request: Any, *_: object) -> None:  # noqa: ANN401 - Django's
        self._process_view(request)

    def _enter(self, visit: "_Visit", flow: str) -> None:
        # Django derives the variables of WSGI under ASGI too. `request.headers` would copy all of them.
        run = self._failpath.run_from_headers(
            visit.request.META, flow=flow, run_id=visit.run_id, run_id_header=self._run_id_header
        )
        visit.enter(run, flow)

    def _flow_of(self, request: Any) -> str | None:  # noqa: ANN401 - Django's
        if self._flow is not None:
            return self._flow(request) if callable(self._flow) else self._flow
        urls: Any = import_module("django.urls")  # has no types, and may not be installed where they are checked
        try:
            return _name_of(urls.resolve(request.path_info, getattr(request, "urlconf", None)))
        except urls.Resolver404:
            return None


class _Visit:
    """A request while it is in the middleware, and the runs that were entered for it.

    Args:
        visits: where it is found by the id of its request.
        request: Django's.
    """

    __slots__ = ("_inside", "_runs", "_visits", "flow", "request")

    def __init__(self, visits: "dict[int, _Visit]", request: Any) -> None:  # noqa: ANN401 - Django's
        self._visits: Final = visits
        self.request: Final = request
        self.flow: str | None = None
        """What the current run was asked for; the caller may have named another flow."""
        self._runs: Final[list[Run]] = []
        self._inside: Context | None = None

    def __enter__(self) -> "_Visit":  # noqa: PYI034 - `Self` came with Python 3.11
        return self

    def begin(self) -> None:
        """Be found by the request; inside of the block, because a signal handler may raise at any point."""
        self._visits[id(self.request)] = self

    @property
    def run_id(self) -> str | None:
        """The id of the current run."""
        return self._runs[-1].run_id if self._runs else None

    def enter(self, run: Run, flow: str) -> None:
        """Make a run the current one until the request leaves the middleware."""
        self.flow = flow
        if self._runs and self._runs[-1].flow_key == run.flow_key:
            return  # named by the caller
        self._runs.append(run)
        run.__enter__()
        # A copy: the end of the run's block may change its context. Django may have called this in another one.
        self._inside = Context(get_current())

    def continue_in(self, response: Any) -> None:  # noqa: ANN401 - Django's
        """Have the parts of a streaming response made in the current run."""
        if self._inside is not None:
            _stream_inside(response, self._inside)

    def leave(self, error: BaseException | None = None) -> None:
        """Leave the runs; a second call does what the first one did not reach."""
        self._visits.pop(id(self.request), None)
        while self._runs:
            # A run that was left already does nothing.
            self._runs[-1].__exit__(None if error is None else type(error), error, None)
            self._runs.pop()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.leave(error)
        except BaseException:  # of a signal handler
            self.leave(error)
            raise


def _name_of(match: Any) -> str:  # noqa: ANN401 - Django's
    return str(match.view_name)[: limits.MAX_KEY_CHARS]


def _stream_inside(response: Any, inside: Context) -> None:  # noqa: ANN401 - Django's
    """Have the parts of a streaming response made in a context, in which the run is the current one.

    Django asks for them when all middlewares have returned. An open file is left alone, because servers send it
    without reading it.
    """
    try:
        if not getattr(response, "streaming", False) or getattr(response, "file_to_stream", None) is not None:
            return
        parts = response.streaming_content
        is_async = getattr(response, "is_async", False)
        response.streaming_content = _AsyncParts(inside, parts) if is_async else _synchronous(inside, parts)
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


class _AsyncParts:
    """The parts of an asynchronous streaming response, each made in a context.

    No generator, because Django closes a response by what has a ``close``.

    Args:
        inside: that context.
        parts: what makes them.
    """

    def __init__(self, inside: Context, parts: AsyncIterable[Any]) -> None:
        self._inside: Final = inside
        self._iterator: AsyncIterator[Any] | None = aiter(parts)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - of the application
        iterator = self._iterator
        if iterator is None:
            raise StopAsyncIteration
        before, token = get_current(), None
        try:
            token = attach(self._inside)
            part = await anext(iterator)
            leave_context(self._inside, before, token)
        except BaseException:
            leave_context(self._inside, before, token)
            raise
        return part

    def close(self) -> None:
        """Let go of what makes the parts, so that what a client has left in the middle ends now.

        The iterator that Django gives refers to the response. As a part of the response it would be in a cycle, and
        end when a garbage collection finds that.
        """
        before, token = get_current(), None
        try:
            token = attach(self._inside)  # in which the event loop then closes a generator
            self._iterator = None
        finally:
            leave_context(self._inside, before, token)
