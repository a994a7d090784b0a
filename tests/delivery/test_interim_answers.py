"""Interim answers (1xx) are not the answer: the one that counts follows on the same connection."""

from collections.abc import Callable

import pytest
import requests

from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.options.options import Options
from tests.delivery.pipelines import numbered
from tests.fault_server import Behaviour, FaultServer, accepted, informing, rejecting, status
from tests.keys import KEY

pytestmark = pytest.mark.usefixtures("each_way")
Twice = Callable[[Behaviour], Behaviour]


def often(code: int, times: int, then: Behaviour) -> Behaviour:
    for _ in range(times):
        then = informing(code, then)
    return then


@pytest.mark.parametrize("code", [100, 102, 103])
@pytest.mark.parametrize("times", [1, 3])
def test_the_answer_that_follows_is_the_one_that_counts(server: FaultServer, code: int, times: int) -> None:
    server.answer_with(
        often(code, times, rejecting(0)), often(code, times, status(503)), often(code, times, accepted), accepted
    )
    delivery = HttpClient(Options(KEY, server.url, send_timeout=10))
    answers = [delivery.send([numbered(number)]) for number in range(4)]
    delivery.close()
    assert [answer.status for answer in answers] == [202 if number else 200 for number in (0,)] + [503, 202, 202]
    assert answers[0].rejected == ((0, "unknown flow"),)
    assert server.connections == 1
    assert len(server.requests) == 4


def test_bad_input_interim_answers_without_end_are_no_answer(server: FaultServer) -> None:
    server.answer_with(often(103, 500, accepted), accepted)
    delivery = HttpClient(Options(KEY, server.url, send_timeout=10))
    first, second = (delivery.send([numbered(number)]) for number in range(2))
    delivery.close()
    assert (first.status, first.retryable, first.persistent) == (103, True, False)
    assert second.status == 202


def test_over_a_session_it_is_a_failure_of_the_moment_and_the_next_answer_is_not_that_of_the_batch_before(
    server: FaultServer,
) -> None:
    server.answer_with(informing(103, accepted), status(503), rejecting(0))
    with requests.Session() as session:
        delivery = HttpClient(Options(KEY, server.url, session=session, send_timeout=10))
        first, second, third = (delivery.send([numbered(number)]) for number in range(3))
    assert (first.status, first.retryable) == (103, True)
    assert second.status == 503
    assert third.rejected == ((0, "unknown flow"),)
