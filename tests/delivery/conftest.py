"""Both ways that requests of our own take."""

import pytest


@pytest.fixture(params=["straight", "by requests"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Straight to the endpoint, and as where there is a proxy."""
    if request.param == "by requests":
        monkeypatch.setattr("failpath_otel.delivery.http.own_channel.is_plain", lambda *_: False)
