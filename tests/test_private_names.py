"""What is used of other libraries beyond their documentation: each name is still there, and does what it is used for.

A test that fails here says which name has moved, and what relies on it. There are no upper bounds on versions instead,
because a library that holds back what an application may have is the one that is taken out.
"""

import argparse
import ast
import asyncio
import concurrent.futures
import gc
import http.client
import importlib
import inspect
import multiprocessing.process
import multiprocessing.util
import pkgutil
import signal
import socket
import ssl
import sys
import sysconfig
import threading
from asyncio import sslproto
from collections.abc import Iterator
from contextvars import Token
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import urllib3
import uvicorn
from opentelemetry.context import Context, attach, get_value, set_value
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from requests.adapters import HTTPAdapter
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from urllib3.connection import HTTPConnection, HTTPSConnection
from uvicorn.protocols.http.h11_impl import H11Protocol

import failpath_otel
from failpath_otel import handler_exceptions
from failpath_otel.addresses import LOOPBACK
from failpath_otel.delivery.http import adapter as adapter_module
from failpath_otel.delivery.http import bounded
from failpath_otel.delivery.http.adapter import BoundedAdapter
from failpath_otel.runtime.threads import has_gil
from failpath_otel.serving import server as serving
from failpath_otel.serving.addresses import listen
from failpath_otel.serving.tls import keep_small_buffers
from tests.fault_server import FaultServer
from tests.receiver import wait_for

PACKAGE: Final = Path(failpath_otel.__file__).parent
KNOWN: Final = {
    "_current_frames": "sys._current_frames, which is documented",
    "_exit": "os._exit, which is documented",
    "_exception": "of Futures; see test_a_future_keeps_its_error_under_a_name_of_its_own",
    "_replace": "of named tuples, which is documented",
    "_asdict": "of named tuples, which is documented",
    "_actions": "of argparse; see test_a_parser_has_a_list_of_its_arguments",
    "_new_conn": "of urllib3; see test_urllib3_makes_the_sockets_of_both_kinds_of_connections_by_new_conn",
}
"""Every private name of others that the package uses, and where it is watched."""


NAMED_AS_TEXT: Final = {"_active_span_processor", "_span_processors"}
"""The same, of names that are read by ``getattr``; see test_a_provider_shows_its_processors."""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="others are taken as having no GIL")
def test_the_version_of_a_python_shows_whether_it_was_built_without_a_gil() -> None:
    is_free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert has_gil() is not is_free, moved("what sys.version says", "the append without a lock")


def test_a_parser_has_a_list_of_its_arguments() -> None:
    parser = argparse.ArgumentParser()
    added = [parser.add_argument("--one"), parser.add_mutually_exclusive_group().add_argument("--two")]
    known = getattr(parser, "_actions", [])
    assert [action.option_strings for action in known] == [["-h", "--help"], ["--one"], ["--two"]], moved(
        "ArgumentParser._actions", "the page of the command line"
    )
    assert known[1:] == added


def moved(name: str, user: str) -> str:
    return f"{name} is not what it was: {user} relies on it"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(trees: list[ast.Module]) -> set[str]:
    """The names of methods and attributes that the package itself gives to its classes and their objects."""
    found: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.add(each.name)
                elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    found.add(each.target.id)
    return found


def package_classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(failpath_otel.__path__, "failpath_otel."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and value.__module__ == module.name:
                yield value


def test_every_private_name_of_others_that_the_package_uses_is_watched_by_a_test() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]
    own = own_names(trees)
    used = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own
    }
    replaced = {
        name
        for cls in package_classes()
        for name, value in vars(cls).items()
        if is_private(name) and inspect.isfunction(value)
        for base in cls.__mro__[1:]
        if name in vars(base) and not base.__module__.startswith("failpath_otel")
    }
    assert used | replaced <= set(KNOWN), "a private name of another library needs a row here and a test below"
    assert {"_exception", "_new_conn"} <= used | replaced, "the search finds what is known to be there"


def test_uvicorn_shows_the_last_request_of_each_connection() -> None:
    user = "the closing of idle connections in serving/server.py"
    ready, within, gate = threading.Event(), threading.Event(), threading.Event()

    def answer(_: object) -> Response:
        within.set()
        assert gate.wait(20)
        return Response()

    app = Starlette(routes=[Route("/", answer)])
    with listen(LOOPBACK, 0) as listener:
        running = serving.Server(app, ready=ready.set, ending=lambda: None, grace_seconds=1)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(20)
            with socket.create_connection(listener.getsockname(), 20) as client:
                assert wait_for(lambda: len(running.server_state.connections) == 1), moved(
                    "server_state.connections", user
                )
                (connection,) = running.server_state.connections
                assert isinstance(connection, H11Protocol)
                assert vars(connection).get("cycle", "") is None, moved("H11Protocol.cycle before a request", user)
                assert callable(connection.transport.abort), moved("H11Protocol.transport", user)
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert within.wait(20)
                assert connection.cycle.response_complete is False, moved("RequestResponseCycle in a request", user)
                gate.set()
                assert client.recv(100).startswith(b"HTTP/1.1 200")
                assert wait_for(lambda: connection.cycle.response_complete is True), moved(
                    "RequestResponseCycle.response_complete", user
                )
        finally:
            gate.set()
            running.should_exit = True
            thread.join(20)


def test_uvicorn_calls_what_the_server_replaces() -> None:
    user = "serving/server.py"
    for name, parameters in (
        ("startup", ["self", "sockets"]),
        ("on_tick", ["self", "counter"]),
        ("shutdown", ["self", "sockets"]),
    ):
        found = getattr(uvicorn.Server, name, None)
        assert found is not None, moved(f"uvicorn.Server.{name}", user)
        assert list(inspect.signature(found).parameters) == parameters, moved(f"uvicorn.Server.{name}", user)
    assert "should_exit" in vars(uvicorn.Server(uvicorn.Config(Starlette()))), moved("Server.should_exit", user)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio kept no such buffer")
@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")  # there is no connection to be closed
def test_asyncio_keeps_a_small_buffer_for_each_connection_with_tls() -> None:
    keep_small_buffers()
    loop = asyncio.new_event_loop()
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made: Any = sslproto.SSLProtocol(loop, asyncio.Protocol(), context, loop.create_future(), server_side=True)
        assert len(made.get_buffer(-1)) == 65_536, moved("asyncio.sslproto.SSLProtocol.max_size", "serving/tls.py")
        del made
    finally:
        loop.close()
        gc.collect()  # while the warning is ignored


class Connection:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


@pytest.mark.parametrize(
    "connection",
    [
        Connection(),
        Connection(cycle=None),
        Connection(transport=Connection(abort=pytest.fail)),
        Connection(transport=Connection(abort=pytest.fail), cycle=object()),
    ],
    ids=["nothing is there", "no transport", "no cycle", "a cycle that does not say when it is over"],
)
def test_a_connection_of_another_uvicorn_is_left_alone_and_not_closed_within_its_request(connection: Any) -> None:
    running = serving.Server(Starlette(), ready=lambda: None, ending=lambda: None, grace_seconds=1)
    running.server_state.connections = {connection}
    for now in (0.0, 1_000.0, 2_000.0):
        running._close_idle(now)


def test_urllib3_makes_the_sockets_of_both_kinds_of_connections_by_new_conn() -> None:
    user = "the deadline of a whole request in delivery/http/adapter.py"
    for kind in (HTTPConnection, HTTPSConnection):
        assert "_new_conn" in dir(kind), moved(f"urllib3's {kind.__name__}._new_conn", user)
        assert "self._new_conn()" in inspect.getsource(kind.connect), moved(f"{kind.__name__}.connect", user)
        assert issubclass(kind, http.client.HTTPConnection), moved(f"the parent of {kind.__name__}", user)
    for name in ("is_verified", "proxy_is_verified", "proxy_is_forwarding"):
        secure = HTTPSConnection("127.0.0.1")
        assert hasattr(secure, name), moved(f"urllib3's HTTPSConnection.{name}", "the check of certificates")


def test_urllib3_takes_the_pools_that_the_adapter_of_requests_is_given(server: FaultServer) -> None:
    user = "the deadline of a whole request in delivery/http/adapter.py"
    adapter = BoundedAdapter()
    try:
        manager = adapter.poolmanager
        assert isinstance(manager, urllib3.PoolManager), moved("requests' HTTPAdapter.poolmanager", user)
        pool = manager.connection_from_url(server.url)
        assert type(pool) is adapter_module._Pool, moved("urllib3's PoolManager.pool_classes_by_scheme", user)
        secure = manager.connection_from_url("https://127.0.0.1")
        assert type(secure) is adapter_module._TlsPool, moved("urllib3's PoolManager.pool_classes_by_scheme", user)
        connection = pool._get_conn()
        assert type(connection) is adapter_module._Connection, moved("urllib3's HTTPConnectionPool.ConnectionCls", user)
        connection.connect()
        assert isinstance(connection.sock, bounded._Bounded), moved("urllib3's HTTPConnection._new_conn", user)
        connection.close()
        with adapter.send(requests.Request("POST", server.url, data=b"{}").prepare(), timeout=20) as response:
            assert response.status_code
    finally:
        adapter.close()


def test_requests_calls_what_the_adapter_replaces() -> None:
    for owner, name, parameters in (
        (HTTPAdapter, "init_poolmanager", ["self", "connections", "maxsize", "block", "pool_kwargs"]),
        (HTTPAdapter, "proxy_manager_for", ["self", "proxy", "proxy_kwargs"]),
        (HTTPAdapter, "send", ["self", "request", "stream", "timeout", "verify", "cert", "proxies"]),
        (requests.Session, "merge_environment_settings", ["self", "url", "proxies", "stream", "verify", "cert"]),
    ):
        found = getattr(owner, name, None)
        message = moved(
            f"requests' {owner.__name__}.{name}", "delivery/http/adapter.py or delivery/http/requests_channels.py"
        )
        assert found is not None, message
        assert list(inspect.signature(found).parameters) == parameters, message


def test_http_client_reads_and_writes_by_the_methods_of_its_socket_that_have_the_deadline(server: FaultServer) -> None:
    called: set[str] = set()

    class Heard(socket.socket):
        __slots__ = ()

        def recv_into(self, *args: Any, **kwargs: Any) -> int:
            called.add("recv_into")
            return super().recv_into(*args, **kwargs)

        def sendall(self, *args: Any, **kwargs: Any) -> None:
            called.add("sendall")
            super().sendall(*args, **kwargs)

    connection = http.client.HTTPConnection(*server.url.removeprefix("http://").split(":"), timeout=20)  # type: ignore[misc, arg-type]
    connection.connect()
    connection.sock.__class__ = Heard
    try:
        connection.request("POST", "/v1/events", b"{}")
        connection.getresponse().read()
    finally:
        connection.close()
    assert called == {"recv_into", "sendall"}, moved("what http.client calls of its socket", "delivery/http/adapter.py")
    for name in ("request", "putrequest", "getresponse", "putheader"):
        assert callable(getattr(http.client.HTTPConnection, name, None)), moved(
            f"http.client's HTTPConnection.{name}", "delivery/http/adapter.py"
        )


def test_a_context_of_opentelemetry_is_a_dict_and_is_attached_by_a_token_of_contextvars() -> None:
    user = "the end of a block in another context, in steps/step_tracer.py,"
    context = set_value("name", 1, Context())
    assert isinstance(context, dict), moved("Context, a dict,", user)
    dict.update(context, {"name": 2, "other": 3})
    dict.pop(context, "other")
    token = attach(context)
    try:
        assert get_value("name") == 2, moved("what get_value reads", user)
        assert isinstance(token, Token), moved("the token of attach", user)
    finally:
        token.var.reset(token)
    assert get_value("name") is None, moved("the variable of a token", user)


@pytest.mark.parametrize("kind", [asyncio.Future, asyncio.futures._PyFuture, concurrent.futures.Future])  # type: ignore[attr-defined]
def test_a_future_keeps_its_error_under_a_name_of_its_own(kind: Any) -> None:
    loop = asyncio.new_event_loop()
    try:
        future = kind() if kind is concurrent.futures.Future else kind(loop=loop)
        error = ValueError("declined")
        future.set_exception(error)
        assert getattr(future, "_exception", None) is error, moved(
            f"{kind.__module__}'s Future._exception", "the outcome of a step that is a Future, in steps/awaitables.py,"
        )
        with pytest.raises(ValueError, match="declined"):
            future.result()
    finally:
        loop.close()


def test_multiprocessing_runs_hooks_at_the_end_of_its_children() -> None:
    user = "the delivery at the end of a child in delivery/at_exit.py"
    for module, name, parameters in (
        (multiprocessing.util, "register_after_fork", ["obj", "func"]),
        (multiprocessing.util, "Finalize", ["obj", "callback", "args", "kwargs", "exitpriority"]),
        (multiprocessing.process, "parent_process", []),
    ):
        found = getattr(module, name, None)
        assert found is not None, moved(f"{module.__name__}.{name}", user)
        assert list(inspect.signature(found).parameters) == parameters, moved(f"{module.__name__}.{name}", user)


def test_signal_takes_its_answers_from_a_module_that_is_written_in_c() -> None:
    asked = sys.modules["_signal"].getsignal
    assert handler_exceptions._getsignal is asked, moved("_signal.getsignal", "failpath_otel.handler_exceptions")
    before = signal.signal(signal.SIGUSR1, print)
    try:
        assert asked(signal.SIGUSR1) is signal.getsignal(signal.SIGUSR1) is print
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_gevent_shows_whether_a_thread_has_an_event_loop() -> None:
    pytest.importorskip("gevent")
    user = "the end of a thread in threads.py"
    local = importlib.import_module("gevent._hub_local")
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(local.get_hub_if_exists()))
    thread.start()
    thread.join(20)
    assert found == [None], moved("gevent._hub_local.get_hub_if_exists", user)


def test_a_provider_shows_its_processors() -> None:
    source = (PACKAGE / "private_tracer_provider.py").read_text()
    assert all(f'"{name}"' in source for name in NAMED_AS_TEXT)
    provider: Any = TracerProvider(shutdown_on_exit=False)
    for count in range(1, 3):
        provider.add_span_processor(SpanProcessor())
        shown = provider._active_span_processor._span_processors
        assert len(shown) == count, moved("TracerProvider._active_span_processor", "the choice of lean spans")
