"""Steps in asynchronous code: awaited, side by side, as blocks and as generators.

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own.
"""

import asyncio
from collections.abc import AsyncIterator

import failpath_otel

failpath = failpath_otel.configure()


async def fetch(source: str) -> int:
    """Takes a moment and returns how many rows there are."""
    await asyncio.sleep(0.05)
    return len(source)


@failpath.step("read-pages")
async def pages() -> AsyncIterator[int]:
    """A step of whichever run is the current one, from its first item to its last."""
    for page in range(3):
        await asyncio.sleep(0.01)
        yield page


async def main() -> None:
    """One run of the flow."""
    async with failpath.run("import") as run:
        counts = await asyncio.gather(
            run.step("fetch-orders", lambda: fetch("orders")),
            run.step("fetch-customers", lambda: fetch("customers")),
        )
        async with run.step("merge") as step:
            step.set_metadata(rows=sum(counts))
        print(counts, [page async for page in pages()])
    await failpath.aflush()


asyncio.run(main())
