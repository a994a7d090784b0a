"""Redirects are never followed: the project key goes to the endpoint that was named, and nowhere else."""

from collections.abc import Iterator

import pytest
import requests

from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.options.options import Options
from tests.delivery.pipelines import numbered
from tests.fault_server import FaultServer, accepted, fault_server, redirect
from tests.keys import KEY


@pytest.fixture
def elsewhere() -> Iterator[FaultServer]:
    with fault_server() as running:
        yield running


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("own", [True, False], ids=["own connections", "a session"])
@pytest.mark.parametrize("where", ["same host", "other port", "other name", "path alone"])
def test_a_redirect_is_not_followed(
    server: FaultServer, elsewhere: FaultServer, code: int, own: bool, where: str
) -> None:
    locations = {
        "same host": f"{server.url}/v2/events?api_key=hunter2",
        "other port": f"{elsewhere.url}/v1/events?api_key=hunter2",
        "other name": elsewhere.url.replace("//127.0.0.1", "//user:hunter2@localhost") + f"/{KEY}",
        "path alone": "/login#token=hunter2",
    }
    server.answer_with(redirect(locations[where], code), accepted)
    with requests.Session() as session:
        delivery = HttpClient(Options(KEY, server.url, session=None if own else session))
        answer = delivery.send([numbered(1)])
        delivery.close()
    assert (answer.status, answer.retryable, answer.persistent) == (code, True, True)
    assert answer.failure is not None
    assert "is not followed" in answer.failure
    assert KEY not in answer.failure
    assert "hunter2" not in answer.failure
    assert len(server.requests) == 1
    assert elsewhere.requests == []
    assert elsewhere.connections == 0
