"""Jobs of APScheduler: each execution is a run, whose id has the job's id and the time in it.

    pip install apscheduler
    python examples/frameworks/apscheduler_jobs.py

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. Ctrl-C ends it. With
``--slow`` the warehouse takes a minute, so that there is time to kill the scheduler in the middle of a step.
"""

import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Final

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.schedulers.blocking import BlockingScheduler

import failpath_otel

failpath = failpath_otel.configure()
SLOW: Final = "--slow" in sys.argv


def execution_id(job_id: str) -> str:
    """Return the id of an execution: the scheduler does not give the time for which it was planned to the function."""
    return f"{job_id} {datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S}"


def run_job(job_id: str, job: Callable[[], None]) -> None:
    """Run in a thread of the scheduler, as the function of every job."""
    with failpath.run(job_id, run_id=execution_id(job_id)):
        job()


@failpath.step("count-stock")
def count_stock() -> int:
    """Return the number of parcels."""
    time.sleep(60 if SLOW else 0.05)
    return 17


@failpath.step("write-report")
def write_report(parcels: int) -> None:
    """Write the report."""
    print(f"{parcels} parcels.", flush=True)


def report_stock() -> None:
    """Two steps of the run that is current."""
    write_report(count_stock())


def left_out(event: JobEvent) -> None:
    """Record an execution that the scheduler leaves out: it came too late, or the one before still runs."""
    because = "late" if event.code == EVENT_JOB_MISSED else "busy"
    failpath.run(event.job_id, run_id=execution_id(event.job_id)).skip("count-stock", metadata={"because": because})


def main() -> None:
    """Run until Ctrl-C."""
    scheduler = BlockingScheduler(timezone="UTC")
    scheduler.add_listener(left_out, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    scheduler.add_job(run_job, "interval", seconds=1, id="report-stock", args=["report-stock", report_stock])
    try:
        scheduler.start()
    except KeyboardInterrupt:
        scheduler.shutdown(wait=False)


if __name__ == "__main__":
    main()
