"""A workflow of DBOS, with SQLite: a killed one is recovered by the next start, in the same run.

    pip install dbos
    python examples/frameworks/dbos_workflow.py order-17

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own. With ``--slow`` the bank
takes a minute, so that there is time to kill the program in the middle of a step. When it is started again, DBOS first
finishes what was left: steps that have ended are not executed again.
"""

import os
import sys
import time

from dbos import DBOS, DBOSConfig, SetWorkflowID

import failpath_otel

failpath = failpath_otel.configure()
config: DBOSConfig = {
    "name": "shop",
    "system_database_url": f"sqlite:///{os.environ.get('DBOS_FILE', 'dbos.sqlite')}",
    "log_level": "ERROR",
}
DBOS(config=config)


@DBOS.step()
@failpath.step("price-cart")
def price_cart(order: str) -> int:
    """Return the price in cents; the decorator of DBOS is the outer one, so that replayed steps are not reported."""
    return 4999 + len(order)


@DBOS.step()
@failpath.step("charge-card")
def charge(cents: int) -> str:
    """Charge the card and return the id of the charge."""
    time.sleep(60 if "--slow" in sys.argv else 0.05)
    return f"ch_{cents}"


@DBOS.workflow()
def checkout(order: str) -> str:
    """Execute in the run that has the id of the workflow; so does the recovery."""
    with failpath.run("checkout", run_id=DBOS.workflow_id):
        charge_id: str = charge(price_cart(order))
        return charge_id


def main() -> None:
    """Recover what was left, and wait for the workflow that has the order as its id; start it if there is none."""
    DBOS.launch()
    with SetWorkflowID(sys.argv[1]):
        print(DBOS.start_workflow(checkout, sys.argv[1]).get_result())
    DBOS.destroy()


if __name__ == "__main__":
    main()
