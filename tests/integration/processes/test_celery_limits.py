"""Celery's soft time limit: an exception that the handler of a signal raises in a process of the prefork pool."""

import sys
from collections import Counter
from pathlib import Path

from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import Site

TASKS = 4


def test_a_soft_time_limit_ends_every_task_and_its_step_whatever_it_comes_upon(site: Site, tmp_path: Path) -> None:
    directory = tmp_path / "redis"
    directory.mkdir()
    with open_redis(directory) as broker:
        site.variables |= {"BROKER": broker}
        worker = site.start(
            *(sys.executable, "-m", "celery", "--app", "tests.integration.processes.apps.limits", "worker"),
            *("--pool", "prefork", "--concurrency", str(TASKS), "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        )
        site.wait_for(lambda: " ready." in worker.output(), "worker")
        site.run_app("limits", str(TASKS))
        site.wait_for(lambda: _limited(site) == TASKS, "end of every task")
        worker.process.terminate()
        assert worker.wait() == 0, worker.output()
        assert "Hard time limit" not in worker.output()
        site.drain()

    events = Counter((event["spanId"], event["status"]) for event in site.events())
    assert set(events.values()) == {1}
    begun = {span for span, status in events if status == "running"}
    ended = Counter(span for span, status in events if status != "running")
    assert begun <= set(ended), f"{len(begun - set(ended))} steps stay running"
    assert set(ended.values()) == {1}
    errors = [event["error"]["name"] for event in site.events() if event["status"] == "error"]
    assert len(errors) <= TASKS  # one may come between two steps
    assert all("SoftTimeLimitExceeded" in name or "StepDropped" in name for name in errors)


def _limited(site: Site) -> int:
    ledger = site.directory / "ledger"
    return ledger.read_text().count('["limited"') if ledger.exists() else 0
