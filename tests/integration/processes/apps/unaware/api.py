"""A FastAPI application as it was before it had heard of us; it has a Celery worker do some of its work."""

import asyncio
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from tests.integration.processes.apps.unaware.tasks import ship

app: Final = FastAPI()


@app.post("/orders/{way}")
async def accept(way: str, until: str = "") -> str:
    if way == "declined":
        msg = "no goods, password=hunter2"
        raise PermissionError(msg)
    while until and not Path(until).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it; a look takes no time
        await asyncio.sleep(0.01)
    if way == "ship":
        ship.delay("at once")
    return "accepted"
