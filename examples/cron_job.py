"""A nightly job: delivers what it has reported before it ends; `failpath-otel drain` delivers what a killed one left.

    15 3 * * *  python examples/cron_job.py; failpath-otel drain --timeout 60

The second command delivers after a job that was killed, or after an outage: no other process may run on that machine
until the next night. Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your
own.
"""

import sys
from datetime import datetime

import failpath_otel

failpath = failpath_otel.configure()


@failpath.step("load-sales")
def load_sales() -> list[int]:
    """Return the sales of the day in cents."""
    return [4999, 1250, 300]


@failpath.step("write-report")
def write_report(sales: list[int]) -> None:
    """Write the report for the shop's owner."""
    print(f"{len(sales)} sales, {sum(sales) / 100:.2f} in all.")


def main() -> None:
    """Run one night's job; a second attempt in the same night belongs to the same run."""
    try:
        with failpath.run("nightly-report", run_id=f"{datetime.now().astimezone():%Y-%m-%d}"):
            write_report(load_sales())
    finally:
        if not failpath.flush(timeout=30.0):
            print(f"Not delivered yet: {failpath.stats()}", file=sys.stderr)  # cron mails it


if __name__ == "__main__":
    main()
