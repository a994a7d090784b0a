"""Actors of Dramatiq that continue the run of the program that has sent the message.

    pip install 'dramatiq[redis]'
    dramatiq --path examples/frameworks --processes 1 dramatiq_actors
    python examples/frameworks/dramatiq_actors.py order-17

Needs ``FAILPATH_PROJECT_KEY``, and Redis at ``REDIS_URL``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your
own. With ``--slow`` the mail server takes a minute, so that there is time to kill the worker in the middle of a step.
"""

import os
import sys
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

import failpath_otel

failpath = failpath_otel.configure()
broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))  # type: ignore[no-untyped-call]
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


def message_run() -> failpath_otel.Run:
    """Return the run of the current message: the one that it names, else one with its id, which retries keep."""
    message = CurrentMessage.get_current_message()
    assert message is not None
    metadata = {"attempt": message.options.get("retries", 0)}
    headers = message.options.get("failpath")
    return failpath.run_from_headers(headers, flow=message.actor_name, run_id=message.message_id, metadata=metadata)


@dramatiq.actor(max_retries=1, min_backoff=10)
def send_receipt(order: str, *, slow: bool = False) -> None:
    """Run in the worker; the first attempt fails if the order is unknown to the mail server."""
    with message_run() as run:
        letter = run.step("render-receipt", lambda: f"Thank you for {order}.")
        with run.step("send-mail") as step:
            time.sleep(60 if slow else 0.05)
            step.set_metadata(characters=len(letter))
            if not order:
                msg = "a receipt without an order"
                raise ValueError(msg)


def main() -> None:
    """Run in the calling program: send a message of the order's run, and one that is a run of its own."""
    order, slow = sys.argv[1], "--slow" in sys.argv
    run = failpath.run("checkout", run_id=order)
    run.step(
        "order-receipt",
        lambda: send_receipt.send_with_options(args=(order,), kwargs={"slow": slow}, failpath=run.headers()),
    )
    print(f"Sent {order} and {send_receipt.send('').message_id}.")


if __name__ == "__main__":
    main()
