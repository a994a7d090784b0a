"""Who may ask: the checks in front of the application, request by request."""

import socket
from collections.abc import Mapping
from typing import Any, Final

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from failpath_otel.addresses import is_loopback
from failpath_otel.local.api.guard import CONTENT_SECURITY_POLICY, Access, guarded

TOKEN: Final = "a-secret-token"
LOCAL: Final = "http://127.0.0.1:3001"


async def _echo(request: Request) -> Response:
    if request.url.path == "/broken":
        msg = "broken"
        raise RuntimeError(msg)
    return JSONResponse({"path": request.url.path, "query": request.url.query}, headers={"referrer-policy": "no"})


def application(access: Access) -> ASGIApp:
    routes = [Route(path, _echo, methods=["GET", "POST", "DELETE"]) for path in ("/v1/events", "/{path:path}")]
    return guarded(Starlette(routes=routes), access)


def ask(
    path: str, access: Access | None = None, *, method: str = "GET", cookies: Any = None, **headers: str
) -> "TestResponse":
    """The answer to one request to 127.0.0.1:3001; ``_`` in a header's name stands for ``-``."""
    client = TestClient(
        application(access or Access()), LOCAL, raise_server_exceptions=False, follow_redirects=False, cookies=cookies
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with client:
        answer = client.request(method, path, headers=named)
    return TestResponse(answer.status_code, answer.headers, answer.text)


class TestResponse:
    """What was answered."""

    __test__ = False

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text


@pytest.mark.parametrize(
    ("path", "access", "status"),
    [
        ("/", Access(), 200),
        ("/broken", Access(), 500),
        ("/", Access(token=TOKEN), 401),
        ("/?token=a-secret-token", Access(token=TOKEN), 303),
    ],
)
def test_every_response_has_the_security_headers(path: str, access: Access, status: int) -> None:
    answer = ask(path, access)
    assert answer.status == status
    assert CONTENT_SECURITY_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_also_a_refusal_does() -> None:
    for answer in (ask("/", host="evil.example"), ask("/", origin="http://evil.example")):
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:3001"])
def test_a_loopback_name_is_known(host: str) -> None:
    assert ask("/api/runs", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "192.168.0.1", "", "::1"),
        *("localhost:x", "localhost:80:80", "user@localhost", "localhost/", "[::2]", "[127.0.0.1]", "[::1", "0.0.0.0"),
        *("localhost ", "127.1", "127.0.0.01", "localhost.", "[::ffff:127.0.0.1]", "x,localhost"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/page/app.js", "/api/runs", "/v1/events/"])
def test_any_other_name_is_not(host: str, path: str) -> None:
    assert ask(path, host=host).status == 400


def test_events_may_come_under_any_name() -> None:
    assert ask("/v1/events", method="POST", host="host.docker.internal:3001").status == 200


@pytest.mark.parametrize(
    "host", ["203.0.113.7", "10.0.0.1:3001", "[2001:db8::1]:3001", socket.gethostname(), "LocalHost"]
)
def test_one_that_others_can_reach_answers_to_addresses_and_to_the_name_of_the_machine(host: str) -> None:
    access = Access("0.0.0.0", TOKEN)
    bearer = f"Bearer {TOKEN}"
    assert ask("/", access, host=host, authorization=bearer).status == 200
    assert ask("/", access, host="evil.example", authorization=bearer).status == 400
    assert ask("/", access, host=f"{socket.gethostname()}.evil.example", authorization=bearer).status == 400


def test_another_loopback_address_answers_to_itself() -> None:
    assert ask("/", Access("127.0.0.9"), host="127.0.0.9:80").status == 200
    assert ask("/", Access("127.0.0.9"), host="127.0.0.8:80").status == 400


def test_headers_of_a_proxy_are_ignored() -> None:
    assert ask("/", host="evil.example", x_forwarded_host="localhost").status == 400
    assert ask("/", origin="http://other", x_forwarded_host="other").status == 403


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/api/page/sample", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:3001", "null", ""]
)
def test_a_page_of_another_origin_is_refused(path: str, method: str, origin: str) -> None:
    assert ask(path, method=method, origin=origin).status == 403


def test_the_page_itself_is_not() -> None:
    assert ask("/api/page/sample", method="POST", origin=LOCAL).status == 200
    assert ask("/", host="LOCALHOST:3001", origin="http://localhost:3001", sec_fetch_site="same-origin").status == 200


@pytest.mark.parametrize("origin", [LOCAL, "http://evil.example", "null"])
def test_no_page_at_all_may_send_events(origin: str) -> None:
    assert ask("/v1/events", method="POST", origin=origin).status == 403


def test_another_site_reads_nothing_of_the_api_but_may_link_to_the_page() -> None:
    assert ask("/api/runs", sec_fetch_site="cross-site").status == 403
    assert ask("/api/runs", sec_fetch_site="none").status == 200
    assert ask("/runs/1", sec_fetch_site="cross-site").status == 200


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/api/runs", "/api/page/stream", "/v1/events", "/nothing"])
@pytest.mark.parametrize("authorization", [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer a b"])
def test_with_a_token_nothing_is_answered_without_it(path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = ask(path, Access(token=TOKEN), **headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", ["/", "/api/runs", "/v1/events", "/nothing"])
def test_the_token_opens_everything(path: str) -> None:
    assert ask(path, Access(token=TOKEN), authorization=f"bearer  {TOKEN}").status == 200


def test_a_browser_that_has_no_token_gets_a_page_and_others_json() -> None:
    assert ask("/", Access(token=TOKEN), accept="text/html,*/*").headers["content-type"].startswith("text/html")
    assert ask("/", Access(token=TOKEN)).headers["content-type"] == "application/json"
    assert ask("/api/runs", Access(token=TOKEN), accept="text/html").headers["content-type"] == "application/json"


def test_opening_an_address_with_the_token_gives_a_cookie_that_scripts_and_other_sites_do_not_get() -> None:
    answer = ask(f"/?token={TOKEN}", Access(token=TOKEN))
    assert (answer.status, answer.headers["location"]) == (303, "/")
    value, *attributes = answer.headers["set-cookie"].split("; ")
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=strict"}
    name, _, content = value.partition("=")
    assert TOKEN not in answer.headers["set-cookie"]
    assert ask("/", Access(token=TOKEN), cookies={name: content}).status == 200
    assert ask("/api/runs", Access(token=TOKEN), cookie=f"theme=dark; {name}={content}").status == 200
    assert ask("/", Access(token=TOKEN), cookies={name: content[:-1]}).status == 401
    assert ask("/", Access(token=TOKEN), cookies={name: TOKEN}).status == 401
    assert ask("/", Access(token="another-token"), cookies={name: content}).status == 401
    assert ask("/v1/events", Access(token=TOKEN), method="POST", cookies={name: content}).status == 401


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (f"/runs/a%2Fb%20c?flow=x&token={TOKEN}&step=", "/runs/a%2Fb%20c?flow=x&step="),
        (f"//evil.example/?token={TOKEN}", "/evil.example/"),
        (f"/%5Cevil.example?token={TOKEN}", "/%5Cevil.example"),
    ],
)
def test_the_token_is_taken_out_of_the_address_and_never_leads_elsewhere(path: str, location: str) -> None:
    assert ask(LOCAL + path, Access(token=TOKEN)).headers["location"] == location


@pytest.mark.parametrize("path", ["/?token=wrong", "/?token=", f"/api/runs?token={TOKEN}", f"/v1/events?token={TOKEN}"])
def test_a_wrong_token_and_one_that_is_not_for_a_page_give_no_cookie(path: str) -> None:
    answer = ask(path, Access(token=TOKEN))
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


def test_a_foreign_page_cannot_use_the_token_of_a_browser() -> None:
    answer = ask("/api/runs", Access(token=TOKEN), origin="http://evil.example", authorization=f"Bearer {TOKEN}")
    assert answer.status == 403


def test_only_this_machine_reaches_a_loopback_address() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "203.0.113.1")] == [False] * 4
