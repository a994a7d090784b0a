"""A checkout in three steps, in a program without OpenTelemetry.

    python examples/checkout.py [--card declined | --no-receipt | --slow-bank]

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own.
"""

import argparse
import time

import failpath_otel


class CardDeclinedError(Exception):
    """The bank declined the card."""


def validate_cart() -> dict[str, int]:
    """Return two items with a price in cents."""
    time.sleep(0.02)
    return {"items": 2, "total": 4999}


def charge(card: str, *, slow_bank: bool) -> str:
    """Charge the card and return the id of the charge."""
    time.sleep(3600 if slow_bank else 0.1)
    if card == "declined":
        msg = "the bank declined the card"
        raise CardDeclinedError(msg)
    return "ch_1"


def main() -> None:
    """Run the flow once."""
    parser = argparse.ArgumentParser(description="One checkout.")
    parser.add_argument("--run-id", help="default: generated")
    parser.add_argument("--card", choices=["good", "declined"], default="good")
    parser.add_argument("--no-receipt", action="store_true", help="the customer wants no e-mail")
    parser.add_argument("--slow-bank", action="store_true", help="the bank takes an hour")
    options = parser.parse_args()

    failpath = failpath_otel.configure()
    run = failpath.run("checkout", run_id=options.run_id, metadata={"shop": "books"})

    cart = run.step("validate-cart", validate_cart)
    try:
        with run.step("charge-card", metadata={"total": cart["total"]}) as step:
            step.set_metadata(charge_id=charge(options.card, slow_bank=options.slow_bank))
    except CardDeclinedError as error:
        print(f"No sale: {error}.")
        return
    if options.no_receipt:
        run.skip("send-receipt-email")
    else:
        run.step("send-receipt-email", lambda: time.sleep(0.05))
    print("Sold.")


if __name__ == "__main__":
    main()
