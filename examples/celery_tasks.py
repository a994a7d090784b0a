"""Celery tasks that take part in the run of the program that has asked for them.

    pip install 'celery[redis]'
    export CELERY_BROKER_URL=redis://127.0.0.1:6379/0
    celery --workdir examples --app celery_tasks worker --concurrency 1
    python examples/celery_tasks.py order-17

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own.
"""

import sys
import time

from celery import Celery, Task

import failpath_otel

app = Celery("celery_tasks")
failpath = failpath_otel.configure()


@app.task(name="send-receipt", bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
def send_receipt(self: Task, order: str) -> None:
    """Run in the worker: continue the run that the message names. A retried task makes new steps."""
    request = self.request
    metadata = {"attempt": request.retries}
    run = failpath.run_from_headers(request.headers, flow="receipts", run_id=request.id, metadata=metadata)
    letter = run.step("render-receipt", lambda: f"Thank you for {order}.")
    with run.step("send-mail") as step:
        time.sleep(0.05)
        step.set_metadata(characters=len(letter))


def main() -> None:
    """Run in the calling program: send the headers of the run with the message."""
    order = sys.argv[1]
    run = failpath.run("checkout", run_id=order)
    run.step("order-receipt", lambda: send_receipt.apply_async((order,), headers=run.headers()))
    print(f"Asked for the receipt of {order}.")


if __name__ == "__main__":
    # The worker knows the task by its name, so this module may be `__main__` here.
    main()
