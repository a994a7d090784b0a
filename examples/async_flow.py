"""Steps in asynchronous code: awaited, side by side, as blocks and as generators.

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own.
"""

import asyncio
from collections.abc import AsyncIterator

import failpath_otel

failpath = failpath_otel.configure()


async def fetch(source: str) -> int:
    """Return a number of rows after a moment."""
    await asyncio.sleep(0.05)
    return len(source)


@failpath.step("read-pages")
async def pages() -> AsyncIterator[int]:
    """Yield pages; the step of the current run lasts from the first to the last."""
    for page in range(3):
        await asyncio.sleep(0.01)
        yield page


async def main() -> None:
    """Run the flow once."""
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
