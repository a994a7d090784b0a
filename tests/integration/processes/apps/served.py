"""An ASGI application of which every request takes steps; uvicorn serves it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

from tests.integration.processes.apps.telling import begin_run, block, connect, take_some

_Message = MutableMapping[str, Any]
failpath: Final = connect()


def wait_for_file(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


async def application(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return  # there is nothing to do when the server starts and stops
    run = begin_run(failpath)
    with block(run, scope["path"]):
        take_some(run, "before: ")
        if scope["path"] == "/wait":
            await asyncio.to_thread(wait_for_file, Path(os.environ["GO_ON"]))
        take_some(run, "after: ")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
