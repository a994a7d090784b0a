"""Jobs of RQ that continue the run of the program that has enqueued them.

    pip install rq
    rq worker --path examples/frameworks --config rq_jobs
    python examples/frameworks/rq_jobs.py order-17

Needs ``FAILPATH_PROJECT_KEY``, and Redis at ``REDIS_URL``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your
own. With ``--slow`` the mail server takes a minute, so that there is time to kill the job in the middle of a step.
"""

import os
import sys
import time

from redis import Redis
from rq import Queue, get_current_job

import failpath_otel

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")  # rq reads it too, by --config
failpath = failpath_otel.configure()


def job_run() -> failpath_otel.Run:
    """Return the run of the current job: the one in its message, else one with the id of the job."""
    job = get_current_job()
    assert job is not None
    return failpath.run_from_headers(job.meta.get("failpath"), flow=job.func_name, run_id=job.id)


def send_receipt(order: str, *, slow: bool = False) -> None:
    """Run in the worker. The outcome is delivered at the end of the block, before RQ ends the process of the job."""
    with job_run() as run:
        letter = run.step("render-receipt", lambda: f"Thank you for {order}.")
        with run.step("send-mail") as step:
            time.sleep(60 if slow else 0.05)
            step.set_metadata(characters=len(letter))


def main() -> None:
    """Run in the calling program: enqueue a job of the order's run, and one that is a run of its own."""
    order, slow = sys.argv[1], "--slow" in sys.argv
    # By its name: this module may be `__main__` here.
    job = "rq_jobs.send_receipt"
    with Redis.from_url(REDIS_URL) as connection:
        queue = Queue(connection=connection)
        run = failpath.run("checkout", run_id=order)
        run.step(
            "order-receipt",
            lambda: queue.enqueue(job, order, slow=slow, job_id=f"receipt-{order}", meta={"failpath": run.headers()}),
        )
        queue.enqueue(job, order, job_id=f"copy-{order}")
    print(f"Enqueued the receipt of {order} and its copy.")


if __name__ == "__main__":
    main()
