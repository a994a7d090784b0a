"""The fourth service: FastAPI, which reserves goods in a function that knows nothing of requests."""

import asyncio
from typing import Any, Final

from fastapi import FastAPI, Request
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from tests.integration.processes.apps.services.common import BY_HEADERS, failpath, received

app: Final = FastAPI()
if not BY_HEADERS:
    FastAPIInstrumentor.instrument_app(app)


@failpath.step("reserve-goods")
async def reserve() -> str:
    await asyncio.sleep(0)
    return "reserved"


@app.post("/reservations")
async def reservations(request: Request) -> Any:
    if not BY_HEADERS:
        return await reserve()
    async with received(request.scope["headers"]):
        return await reserve()
