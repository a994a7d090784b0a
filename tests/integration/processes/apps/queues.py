"""The tasks of Dramatiq, Huey and Celery: ``python -m …queues WAY…`` asks for some, workers run them."""

import os
import sys
from typing import Any, Final

LIBRARY: Final = os.environ["LIBRARY"]
BROKER: Final = os.environ["BROKER"]


def work(way: str) -> None:
    # Here, so that only who runs tasks calls `configure()`.
    from tests.integration.processes.apps.jobs import work as run_job  # noqa: PLC0415

    run_job(way)


ask: Any
if LIBRARY == "dramatiq":
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker: Final = RedisBroker(url=BROKER)  # type: ignore[no-untyped-call]
    dramatiq.set_broker(broker)
    ask = dramatiq.actor(max_retries=0)(work).send
elif LIBRARY == "huey":
    from huey import RedisHuey  # type: ignore[import-untyped]

    huey: Final[Any] = RedisHuey("queues", url=BROKER)
    ask = huey.task()(work)
else:
    from celery import Celery

    app: Final[Any] = Celery("queues", broker=BROKER)
    ask = app.task(name="work", ignore_result=True)(work).delay


if __name__ == "__main__":
    # By the name under which the workers know the task: Huey's has the module's in it.
    from tests.integration.processes.apps import queues

    for way in sys.argv[1:]:
        queues.ask(way)
