"""The third service: a Celery worker, which ships orders and has a warehouse reserve the goods, with httpx."""

import os
from typing import Any, Final

import httpx
from celery import Celery

from tests.integration.processes.apps.services.common import received, to_send

app: Final[Any] = Celery("shipping", broker=os.environ["BROKER"])


@app.task(name="ship", bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
def ship(task: Any, order: str) -> None:
    run = received(task.request.headers)
    with run.step("ship-order", metadata={"order": order}):
        reserved = httpx.post(f"{os.environ['WAREHOUSE']}/reservations", headers=to_send(run), timeout=30)
        reserved.raise_for_status()
    run.skip("send-receipt")
