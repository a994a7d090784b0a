"""One batch over real HTTP, and what every kind of answer means."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import failpath_otel
from failpath_otel import limits
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.options.options import Options
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import numbered
from tests.fault_server import (
    Behaviour,
    FaultServer,
    accepted,
    accepted_json,
    answer,
    answer_before_reading,
    close_before_answering,
    close_while_answering,
    fault_server,
    held,
    html,
    json_answer,
    long_body,
    no_content,
    redirect,
    rejecting,
    silent,
    status,
    trickling,
)
from tests.keys import KEY
from tests.ports import unused_url

pytestmark = pytest.mark.usefixtures("each_way")
BATCH = [numbered(1), numbered(2), numbered(3)]
NewDelivery = Callable[..., HttpClient]


@pytest.fixture
def new_delivery() -> Iterator[NewDelivery]:
    made: list[HttpClient] = []

    def new(endpoint: str, **options: Any) -> HttpClient:
        made.append(HttpClient(Options(KEY, endpoint, **options)))
        return made[-1]

    yield new
    for delivery in made:
        delivery.close()


@pytest.fixture
def delivery(server: FaultServer, new_delivery: NewDelivery) -> HttpClient:
    return new_delivery(server.url)


def delivered(answer: Answer) -> bool:
    return answer.failure is None and not answer.rejected


def test_a_batch_is_one_post_with_the_events_in_their_order(delivery: HttpClient, server: FaultServer) -> None:
    assert delivered(delivery.send(BATCH))
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/v1/events")
    assert json.loads(request.body) == {"events": [{"number": 1}, {"number": 2}, {"number": 3}]}


def test_the_headers_are_those_of_the_wire_contract(delivery: HttpClient, server: FaultServer) -> None:
    delivery.send(BATCH)
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == f"failpath-otel/{failpath_otel.__version__}"
    assert "cookie" not in headers


def test_a_path_in_the_endpoint_comes_before_the_route(server: FaultServer, new_delivery: NewDelivery) -> None:
    new_delivery(server.url + "/behind/a/proxy").send(BATCH)
    assert server.requests[0].path == "/behind/a/proxy/v1/events"


def test_a_netrc_entry_for_the_host_does_not_replace_the_key(
    delivery: HttpClient, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    delivery.send(BATCH)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_one_connection_serves_many_batches(delivery: HttpClient, server: FaultServer) -> None:
    for _ in range(5):
        assert delivered(delivery.send(BATCH))
    assert server.connections == 1


def test_a_cookie_that_a_proxy_sets_costs_no_record(delivery: HttpClient, server: FaultServer) -> None:
    server.answer_with(answer(202, Set_Cookie="a=b"))
    assert [delivered(delivery.send(BATCH)) for _ in range(2)] == [True] * 2


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(accepted, id="202-empty"),
        pytest.param(answer(200), id="200-empty"),
        pytest.param(answer(200, b"\r\n"), id="200-blank"),
        pytest.param(no_content, id="204"),
        pytest.param(accepted_json, id="202-json"),
        pytest.param(json_answer([]), id="200-list"),
        pytest.param(json_answer(None), id="200-null"),
        pytest.param(rejecting(), id="200-none-rejected"),
        pytest.param(json_answer({"rejected": "nonsense"}), id="200-rejected-is-no-list"),
        pytest.param(json_answer({"rejected": [7, {"index": 9}, {"index": True}]}), id="200-rejected-makes-no-sense"),
    ],
)
def test_a_2xx_with_an_empty_or_a_json_body_is_delivered(
    delivery: HttpClient, server: FaultServer, behaviour: Behaviour
) -> None:
    server.answer_with(behaviour)
    assert delivered(delivery.send(BATCH))


def test_rejected_records_are_named_with_the_reason(delivery: HttpClient, server: FaultServer) -> None:
    server.answer_with(rejecting(0, 2, 2, reason="unknown flow"))
    answer = delivery.send(BATCH)
    assert answer.failure is None
    assert answer.rejected == ((0, "unknown flow"), (2, "unknown flow"))


OF_THE_WAY = [
    pytest.param(html, "no Failpath endpoint", id="200-html"),
    pytest.param(answer(200, b'{"rejected"'), "no Failpath endpoint", id="200-half-json"),
    pytest.param(answer(200, b"\xff\xfe\xfa"), "no Failpath endpoint", id="200-binary"),
    pytest.param(redirect("/login"), "redirects to /login", id="302"),
    pytest.param(redirect("/login", 301), "redirects", id="301"),
    pytest.param(redirect("/login", 307), "redirects", id="307"),
    pytest.param(answer(304), "redirects", id="304-without-location"),
    pytest.param(status(404), "the base URL, to which the route is added", id="404"),
    pytest.param(status(405), "the base URL, to which the route is added", id="405"),
    pytest.param(status(407), "a proxy", id="407"),
    pytest.param(status(410), "410", id="410"),
    pytest.param(status(409), "409", id="409"),
    pytest.param(status(421), "421", id="421"),
    pytest.param(long_body(8_000_000), "more than any Failpath endpoint", id="200-very-long"),
    pytest.param(long_body(8_000_000, 404), "404", id="404-very-long"),
]
WORTH_ANOTHER_TRY = [
    pytest.param(status(401), "refused the project key", id="401"),
    pytest.param(status(403), "refused the project key", id="403"),
    pytest.param(status(408), "408", id="408"),
    pytest.param(status(425), "425", id="425"),
    pytest.param(status(429), "fewer requests (429)", id="429"),
    pytest.param(status(500), "500", id="500"),
    pytest.param(status(502), "502", id="502"),
    pytest.param(status(503), "503", id="503"),
    pytest.param(long_body(8_000_000, 500), "500", id="500-very-long"),
    pytest.param(close_before_answering, "could not be reached", id="closed-before-answering"),
    pytest.param(close_while_answering, "could not be reached", id="closed-while-answering"),
    pytest.param(answer_before_reading(close=True), "could not be reached", id="closed-before-reading"),
    pytest.param(silent, "did not answer", id="silent"),
]


@pytest.mark.parametrize(("behaviour", "said"), OF_THE_WAY)
def test_bad_input_an_answer_that_is_about_the_way_says_what_to_do_and_is_worth_a_slow_retry(
    delivery: HttpClient, server: FaultServer, behaviour: Behaviour, said: str
) -> None:
    server.answer_with(behaviour)
    answered = delivery.send(BATCH)
    assert answered.failure is not None
    assert said in answered.failure
    assert (answered.retryable, answered.persistent, answered.too_large) == (True, True, False)


@pytest.mark.parametrize("code", [400, 422])
def test_bad_input_an_answer_that_is_about_the_contents_says_so(
    delivery: HttpClient, server: FaultServer, code: int
) -> None:
    server.answer_with(status(code))
    answered = delivery.send(BATCH)
    assert str(code) in str(answered.failure)
    assert (answered.retryable, answered.persistent, answered.too_large) == (False, False, False)


@pytest.mark.parametrize(("behaviour", "said"), WORTH_ANOTHER_TRY)
def test_bad_input_a_server_in_trouble_is_worth_another_try(
    delivery: HttpClient, server: FaultServer, behaviour: Behaviour, said: str
) -> None:
    server.answer_with(behaviour)
    answered = delivery.send(BATCH)
    assert answered.failure is not None
    assert said in answered.failure
    assert answered.retryable


def test_an_answer_413_asks_for_smaller_batches(delivery: HttpClient, server: FaultServer) -> None:
    server.answer_with(status(413))
    answered = delivery.send(BATCH)
    assert answered.too_large
    assert not answered.retryable


def test_bad_input_an_answer_before_the_request_was_read_is_taken_as_it_is(
    delivery: HttpClient, server: FaultServer
) -> None:
    server.answer_with(answer_before_reading(503))
    answered = delivery.send([b'"' + b"x" * 900_000 + b'"'])
    assert answered.retryable


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": " 7 "}, 7.0),
        ({"Retry_After": "0"}, 0.0),
        ({"Retry_After": "-7"}, 0.0),
        ({"Retry_After": "7.5"}, 0.0),
        ({"Retry_After": "soon"}, 0.0),
        ({"Retry_After": "99999999999999999999"}, limits.MAX_RETRY_AFTER),
        ({"Retry_After": "Sun, 22 Nov 2026 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"Retry_After": "Sunday, 22-Nov-26 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"Retry_After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0.0),
        ({"Retry_After": "Fri, 31 Dec 9999 23:59:59 GMT"}, limits.MAX_RETRY_AFTER),
        ({}, 0.0),
    ],
    ids=repr,
)
def test_retry_after_is_read_in_both_its_forms(
    delivery: HttpClient, server: FaultServer, given: dict[str, str], seconds: float
) -> None:
    server.answer_with(status(503, **given))
    assert delivery.send(BATCH).retry_after == seconds


def test_an_endpoint_where_nobody_listens_is_worth_another_try(new_delivery: NewDelivery) -> None:
    answered = new_delivery(unused_url()).send(BATCH)
    assert answered.retryable
    assert "could not be reached" in str(answered.failure)


def test_a_certificate_path_that_is_not_there_is_a_failure_and_no_exception(
    new_delivery: NewDelivery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    assert new_delivery("https://127.0.0.1:1").send(BATCH).failure


def test_a_server_that_never_answers_is_given_up_after_the_send_timeout(
    server: FaultServer, new_delivery: NewDelivery
) -> None:
    server.answer_with(silent)
    began = monotonic()
    assert new_delivery(server.url, send_timeout=0.3).send(BATCH).failure == "did not answer within 0.3 s"
    assert 0.27 < monotonic() - began < 2


def test_a_send_timeout_of_0_is_none(server: FaultServer, new_delivery: NewDelivery) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(new_delivery(server.url, send_timeout=0.0).send(BATCH)))
    thread.start()
    server.wait_for_requests(1)
    thread.join(limits.SEND_TIMEOUT + 0.3)
    assert thread.is_alive()
    gate.set()
    thread.join(10)
    assert answers == [Answer(status=202)]


def test_a_very_long_body_is_not_read_to_its_end(delivery: HttpClient, server: FaultServer) -> None:
    server.answer_with(long_body(1 << 40))
    assert delivery.send(BATCH).failure


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_goes_nowhere(
    delivery: HttpClient, server: FaultServer, code: int
) -> None:
    with fault_server() as elsewhere:
        server.answer_with(redirect(elsewhere.url + "/v1/events", code), accepted)
        assert delivery.send(BATCH).failure
        assert len(server.requests) == 1
        assert elsewhere.requests == []
        assert elsewhere.connections == 0


def test_after_a_failure_the_next_batch_is_sent(delivery: HttpClient, server: FaultServer) -> None:
    server.answer_with(close_while_answering, accepted)
    assert [delivered(delivery.send(BATCH)) for _ in range(2)] == [False, True]


def test_a_closed_delivery_opens_a_new_connection(delivery: HttpClient, server: FaultServer) -> None:
    assert delivered(delivery.send(BATCH))
    delivery.close()
    assert delivered(delivery.send(BATCH))


def test_the_project_key_is_in_no_representation(delivery: HttpClient) -> None:
    for thing in (delivery, Options(KEY), vars(delivery)):
        assert KEY not in repr(thing) + str(thing)


def test_sends_from_several_threads_do_not_mix(delivery: HttpClient, server: FaultServer) -> None:
    sent: list[bool] = []
    threads = [threading.Thread(target=lambda: sent.append(delivered(delivery.send(BATCH)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sent == [True] * 8
    assert [len(request.events) for request in server.requests] == [3] * 8


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(trickling(b"HTTP/1.1 202 Accepted\r\nX-Slow: " + b"x" * 10_000, 0.2), id="headers"),
        pytest.param(
            trickling(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9000\r\n\r\n" + b" " * 9_000, 0.01), id="body"
        ),
    ],
)
def test_a_server_that_sends_a_byte_now_and_then_has_one_deadline_for_all_of_them(
    server: FaultServer, delivery: HttpClient, slow: Behaviour
) -> None:
    server.answer_with(slow)
    began = monotonic()
    assert "did not answer within" in str(delivery.send(BATCH).failure)
    assert monotonic() - began < 2 * limits.SEND_TIMEOUT
    server.answer_with()
    assert delivered(delivery.send(BATCH))


def test_a_kept_connection_that_the_server_drops_costs_no_batch(server: FaultServer, delivery: HttpClient) -> None:
    server.answer_with(accepted, close_before_answering, accepted)
    assert delivered(delivery.send(BATCH))
    assert delivered(delivery.send(BATCH))
    assert len(server.requests) == 3


def test_a_send_within_a_send_of_the_same_thread_does_not_wait_for_itself(
    server: FaultServer, delivery: HttpClient
) -> None:
    """As when a garbage collection or a signal handler ends a step in the middle of an export."""
    inner: list[Answer] = []
    post = delivery._channel.post

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if not inner:
            inner.append(delivery.send(BATCH))
        return post(*arguments, **options)

    delivery._channel.post = interrupted  # type: ignore[method-assign]
    assert delivered(delivery.send(BATCH))
    assert delivered(inner[0])
    assert len(server.requests) == 2
