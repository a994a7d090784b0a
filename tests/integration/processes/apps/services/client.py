"""The first service: orders something from the shop, with requests."""

import os

import requests

from tests.integration.processes.apps.services.common import BY_HEADERS, failpath, to_send


def main() -> None:
    with failpath.run(os.environ["FLOW"], run_id="order 17/ü", metadata={"cart": 1}, propagate=not BY_HEADERS) as run:
        answer = run.step(
            "place-order", lambda: requests.post(f"{os.environ['SHOP']}/orders", headers=to_send(run), timeout=30)
        )
        answer.raise_for_status()
    assert failpath.flush(10)


if __name__ == "__main__":
    main()
