"""A service in FastAPI that calls another one: both take part in one run, whose steps are awaited.

    pip install fastapi httpx uvicorn
    uvicorn --app-dir examples fastapi_service:app --port 8000
    curl -X POST http://127.0.0.1:8000/orders/order-17

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. Without
``WAREHOUSE_URL`` it is its own warehouse at port 8000, so that one process is enough to try it.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request

import failpath_otel

failpath = failpath_otel.configure()
warehouse = httpx.AsyncClient(base_url=os.environ.get("WAREHOUSE_URL", "http://127.0.0.1:8000"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Deliver the remaining records when the server stops."""
    yield
    await warehouse.aclose()
    await failpath.aflush()


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{order}")
async def take_order(order: str) -> dict[str, str]:
    """Begin a run, and pass it on to the warehouse."""
    run = failpath.run("fulfilment", run_id=order)
    async with run.step("call-warehouse") as step:
        answer = await warehouse.post("/reservations", headers=run.headers())
        step.set_metadata(status=answer.status_code)
    answer.raise_for_status()
    return {"run": run.run_id, **answer.json()}


@app.post("/reservations")
async def reserve(request: Request) -> dict[str, str]:
    """Continue the run of the calling service."""
    run = failpath.run_from_headers(request.headers, flow="reservation")
    async with run.step("reserve-stock"):
        await asyncio.sleep(0.05)
    return {"shelf": "B-7"}
