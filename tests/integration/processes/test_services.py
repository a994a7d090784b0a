"""Four services that call each other, each a real server with a process of its own: one run at the receiver."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import Site

APPS: Final = "tests.integration.processes.apps.services"
RUN_ID: Final = "order 17/ü"
STEPS: Final = ["place-order", "accept-order", "ship-order", "reserve-goods", "send-receipt"]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    directory = tmp_path / "redis"
    directory.mkdir()
    with open_redis(directory) as url:
        yield url


def start_services(site: Site) -> None:
    """Starts them from the last to the first, and tells each where the next one is."""
    warehouse = site.start(sys.executable, "-m", "uvicorn", "--port", "0", f"{APPS}.warehouse:app")
    site.variables["WAREHOUSE"] = site.wait_for(
        lambda: "".join(re.findall(r"running on (http://127\.0\.0\.1:\d+)", warehouse.output())), "warehouse"
    )
    worker = site.start(
        *(
            sys.executable,
            "-m",
            "celery",
            "--app",
            f"{APPS}.tasks",
            "worker",
            "--pool",
            "prefork",
            "--concurrency",
            "1",
        ),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"),
    )
    site.wait_for(lambda: " ready." in worker.output(), "worker")
    shop = site.start(
        *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", f"{APPS}.shop:app"),
    )
    site.variables["SHOP"] = site.wait_for(
        lambda: "".join(re.findall(r"Listening at: (http://127\.0\.0\.1:\d+)", shop.output())), "shop"
    )


def run_of_all(site: Site) -> dict[str, Any]:
    """The run, once all of its steps are there and have ended."""
    run = site.receiver.run(RUN_ID, flow=site.flow)
    return run if run is not None and len(run["steps"]) == len(STEPS) and run["status"] != "running" else {}


@pytest.mark.parametrize("way", ["headers", "baggage"])
def test_a_run_goes_through_requests_flask_celery_httpx_and_fastapi(site: Site, broker: str, way: str) -> None:
    site.variables |= {"BROKER": broker, "WAY": way}
    start_services(site)
    client = site.start(sys.executable, "-m", f"{APPS}.client")
    assert client.wait() == 0, client.output()

    run = site.wait_for(lambda: run_of_all(site), "run of all services")

    assert [step["stepKey"] for step in run["steps"]] == STEPS
    assert [step["status"] for step in run["steps"]] == ["success"] * 4 + ["skipped"]
    assert len(site.receiver.runs(flow=site.flow)) == 1
    events = site.events()
    assert len(events) == 2 * 4 + 1
    assert len({event["process"]["pid"] for event in events}) == 4
    # What a service says of a run stays with that service.
    assert {event["stepKey"] for event in events if "cart" in event.get("metadata", {})} == {"place-order"}
    # The trace goes through all of them where the instrumentations carry it; else each step has one.
    assert len({event["traceId"] for event in events}) == (1 if way == "baggage" else 5)
    assert not [program.output() for program in site.programs if "Failpath:" in program.output()]
