"""Celery tasks that take part in the run of the program that has asked for them.

    pip install 'celery[redis]'
    export CELERY_BROKER_URL=redis://127.0.0.1:6379/0
    celery --workdir examples --app celery_tasks worker --concurrency 2
    python examples/celery_tasks.py order-17

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. With ``--slow`` the mail
server takes a minute, so that there is time to kill a process of the worker in the middle of a step.
"""

import sys
import time
from typing import Any

from celery import Celery, Task

import failpath_otel

failpath = failpath_otel.configure()


class TaskInRun(Task):  # type: ignore[misc]
    """A task whose run is the one that its message names, else one with the id of the task, which retries keep."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the task
        """Execute the task as the current run; `super()` would begin a second request of Celery."""
        request = self.request
        metadata = {"attempt": request.retries}
        with failpath.run_from_headers(request.headers, flow=self.name, run_id=request.id, metadata=metadata):
            return self.run(*args, **kwargs)


app = Celery("celery_tasks", task_cls=TaskInRun)


@failpath.step("render-receipt")
def render(order: str) -> str:
    """Return the letter; a step of whichever run is the current one."""
    return f"Thank you for {order}."


@app.task(name="send-receipt", ignore_result=True)  # type: ignore[untyped-decorator]
def send_receipt(order: str, *, slow: bool = False) -> None:
    """Run in the worker."""
    run = failpath.current_run()
    assert run is not None
    letter = render(order)
    with run.step("send-mail") as step:
        time.sleep(60 if slow else 0.05)
        step.set_metadata(characters=len(letter))


def main() -> None:
    """Run in the calling program: send the headers of the run with the message."""
    order, slow = sys.argv[1], "--slow" in sys.argv
    run = failpath.run("checkout", run_id=order)
    run.step("order-receipt", lambda: send_receipt.apply_async((order,), {"slow": slow}, headers=run.headers()))
    print(f"Asked for the receipt of {order}.")


if __name__ == "__main__":
    # The worker knows the task by its name, so this module may be `__main__` here.
    main()
