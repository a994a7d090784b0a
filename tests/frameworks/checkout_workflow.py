"""A workflow of Temporal: in a module of its own, which Temporal imports once more into its sandbox."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError


@workflow.defn
class Checkout:
    """Charges the card, with a second attempt at once; then there may be nothing left in stock."""

    @workflow.run
    async def run(self, in_stock: bool) -> str:
        again = RetryPolicy(initial_interval=timedelta(milliseconds=1), maximum_attempts=2)
        paid: str = await workflow.execute_activity(
            "charge-card", start_to_close_timeout=timedelta(minutes=1), retry_policy=again, result_type=str
        )
        if not in_stock:
            raise ApplicationError("nothing in stock")
        return paid
