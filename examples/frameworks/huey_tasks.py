"""Tasks of Huey that continue the run of the program that has asked for them, with SQLite as the queue.

    pip install huey
    PYTHONPATH=examples/frameworks huey_consumer huey_tasks.huey
    PYTHONPATH=examples/frameworks python -c "import huey_tasks; huey_tasks.ask('order-17')"

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. With ``slow=True`` the
mail server takes a minute, so that there is time to kill the consumer in the middle of a step.
"""

import os
import time
from typing import Any

from huey import SqliteHuey  # type: ignore[import-untyped]
from huey.api import Task  # type: ignore[import-untyped]

import failpath_otel

failpath = failpath_otel.configure()
huey: Any = SqliteHuey("shop", filename=os.environ.get("HUEY_FILE", "huey.db"))


@huey.task(name="send_receipt", context=True, retries=1)
def send_receipt(order: str, slow: bool = False, headers: dict[str, str] | None = None, *, task: Task) -> None:  # noqa: FBT001, FBT002
    """Run in the consumer; a retry has the same id, and makes new steps in the same run."""
    metadata = {"retries_left": task.retries}
    with failpath.run_from_headers(headers, flow=task.name, run_id=task.id, metadata=metadata) as run:
        letter = run.step("render-receipt", lambda: f"Thank you for {order}.")
        with run.step("send-mail") as step:
            time.sleep(60 if slow else 0.05)
            step.set_metadata(characters=len(letter))
            if not order:
                msg = "a receipt without an order"
                raise ValueError(msg)


def ask(order: str, *, slow: bool = False) -> None:
    """Ask for a task of the order's run, and for one that is a run of its own, and fails."""
    run = failpath.run("checkout", run_id=order)
    run.step("order-receipt", lambda: send_receipt(order, slow, run.headers()))
    print(f"Asked for {order} and {send_receipt('').id}.")
