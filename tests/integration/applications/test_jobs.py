"""The examples of RQ, Dramatiq, Huey and APScheduler, as they stand; a worker of each is killed in a step."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.applications.examples import (
    EXAMPLES,
    kill_inside,
    python_path,
    run_example,
    start_example,
    start_module,
    step_of,
    wait_until_shown,
)
from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import ROOT, Program, Site

ENQUEUED = [("order-receipt", "success")]
RENDERED = [*ENQUEUED, ("render-receipt", "success")]
TWO_ATTEMPTS = [*[("render-receipt", "success")] * 2, *[("send-mail", "error")] * 2]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


def test_a_job_of_rq_is_in_the_run_of_its_sender_or_has_its_id_and_a_killed_one_leaves_the_step_gone(
    site: Site, order: str, broker: str
) -> None:
    site.variables["REDIS_URL"] = broker
    worker = start_module(site, "rq.cli", "worker", "--path", str(EXAMPLES), "--config", "rq_jobs")
    run_example(site, "rq_jobs.py", order, "--slow")
    kill_inside(site, order, "checkout", RENDERED, "send-mail")

    # The worker has forked the killed job, and goes on with the next one.
    both = [("render-receipt", "success"), ("send-mail", "success")]
    wait_until_shown(site, f"copy-{order}", "rq_jobs.send_receipt", both)
    assert worker.process.poll() is None


def test_a_task_of_celery_is_in_the_run_of_its_sender_or_has_its_id_and_a_killed_process_leaves_the_step_gone(
    site: Site, order: str, broker: str
) -> None:
    site.variables["CELERY_BROKER_URL"] = broker
    site.variables["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES.parent), str(ROOT)])
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    worker = start_module(site, "celery", "--app", "celery_tasks", "worker", "--concurrency", "2", *quiet)
    sender = f"import sys, celery_tasks; sys.argv[1:] = [{order!r}, '--slow']; celery_tasks.main()"
    alone = "print(celery_tasks.send_receipt.delay('').id)"
    program = site.start(sys.executable, "-c", f"{sender}; {alone}")
    assert program.wait() == 0, program.output()

    sent = [("render-receipt", "success"), ("send-mail", "success")]
    wait_until_shown(site, program.output().split()[-1], "send-receipt", sent)
    kill_inside(site, order, "checkout", RENDERED, "send-mail")
    assert worker.process.poll() is None


def test_a_message_of_dramatiq_keeps_its_run_when_it_is_retried_and_a_killed_worker_leaves_the_step_gone(
    site: Site, order: str, broker: str
) -> None:
    site.variables["REDIS_URL"] = broker
    python_path(site)
    start_module(site, "dramatiq", "--processes", "1", "--threads", "2", "dramatiq_actors")
    message_id = run_example(site, "dramatiq_actors.py", order, "--slow").split()[-1].rstrip(".")
    wait_until_shown(site, message_id, "send_receipt", TWO_ATTEMPTS)
    assert step_of(site, message_id, "send_receipt", "send-mail")["metadata"]["attempt"] == 1
    kill_inside(site, order, "checkout", RENDERED, "send-mail")


def test_a_task_of_huey_keeps_its_run_when_it_is_retried_and_a_killed_consumer_leaves_the_step_gone(
    site: Site, order: str
) -> None:
    site.variables["HUEY_FILE"] = str(site.directory / "huey.db")
    python_path(site)
    start_module(site, "huey.bin.huey_consumer", "huey_tasks.huey", "--workers", "2")
    program = site.start(sys.executable, "-c", f"import huey_tasks; huey_tasks.ask({order!r}, slow=True)")
    assert program.wait() == 0, program.output()
    task_id = program.output().split()[-1].rstrip(".")
    wait_until_shown(site, task_id, "send_receipt", TWO_ATTEMPTS)
    assert step_of(site, task_id, "send_receipt", "send-mail")["metadata"]["retries_left"] == 0
    kill_inside(site, order, "checkout", RENDERED, "send-mail")


def executions(site: Site, scheduler: Program, status: str) -> list[tuple[str, dict[str, Any]]]:
    """The runs of a scheduler whose first step has the status, each with that step."""
    runs = site.receiver.runs(flow="report-stock", limit=1000)
    firsts = [(run["runId"], run["steps"][0]) for run in runs if run["steps"]]
    return [(run, step) for run, step in firsts if (step["process"]["pid"], step["status"]) == (scheduler.pid, status)]


def test_each_execution_of_a_job_of_apscheduler_is_a_run_also_one_that_is_left_out_or_killed(site: Site) -> None:
    quick = start_example(site, "apscheduler_jobs.py")
    [(run_id, _), *_] = site.wait_for(lambda: executions(site, quick, "success"), "execution")
    assert run_id.startswith("report-stock 20")
    wait_until_shown(site, run_id, "report-stock", [("count-stock", "success"), ("write-report", "success")])

    quick.end()  # before the other one begins, whose runs have the second in their ids as well

    # One is held by its step, so that the next is left out.
    slow = start_example(site, "apscheduler_jobs.py", "--slow")
    [(_, skipped), *_] = site.wait_for(lambda: executions(site, slow, "skipped"), "execution that is left out")
    assert (skipped["stepKey"], skipped["metadata"]) == ("count-stock", {"because": "busy"})
    [(held, _)] = executions(site, slow, "running")
    kill_inside(site, held, "report-stock", [], "count-stock")
