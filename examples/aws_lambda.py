"""An AWS Lambda function: what its steps have reported is delivered before Lambda freezes the process.

Deploy this file with ``failpath-otel`` beside it, ``aws_lambda.handler`` as the handler, and the variables
``FAILPATH_PROJECT_KEY`` and ``FAILPATH_JOURNAL=/tmp/failpath``: only ``/tmp`` can be written there. The queue's trigger
has to report batch item failures. Here, with an event as a queue of SQS sends it:

    python examples/aws_lambda.py order-17
"""

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any

import failpath_otel

failpath = failpath_otel.configure()
Handler = Callable[[dict[str, Any], Any], Any]

LONGEST = 1.0
"""Seconds for which a call may wait for the delivery."""

RESERVE = 0.5
"""Seconds before Lambda's own timeout, which would kill the process, that nothing is waited for any more."""


def delivers(handler: Handler) -> Handler:
    """Decorate a handler: flush at its end, within a short time, whether it has failed or not.

    Undelivered records wait in the journal, and are sent with the next call of this process.
    """

    @functools.wraps(handler)
    def wrapper(event: dict[str, Any], context: Any) -> Any:  # noqa: ANN401 - what Lambda hands over, and gets
        try:
            return handler(event, context)
        finally:
            # No context: called by hand, or by a test.
            left = LONGEST if context is None else context.get_remaining_time_in_millis() / 1000 - RESERVE
            with contextlib.suppress(failpath_otel.DeliveryError):  # where `throw_on_send_error` asks for it
                failpath.flush(timeout=max(0.0, min(LONGEST, left)))

    return wrapper


@delivers
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's context
    """Ship the orders of a queue; Lambda retries the failed ones of a batch."""
    failed: list[dict[str, str]] = []
    for message in event["Records"]:
        try:
            ship(message)
        except Exception as error:  # noqa: BLE001 - the other messages have nothing to do with it
            print(f"{message['messageId']}: {error!r}", file=sys.stderr)
            failed.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failed}


def ship(message: dict[str, Any]) -> None:
    """Continue the run of the service that sent the message."""
    run = failpath.run_from_headers(message["messageAttributes"], flow="shipping")
    with run.step("print-label", metadata={"message": message["messageId"]}):
        if not message["body"]:
            msg = "a parcel without an address"
            raise ValueError(msg)
    run.step("hand-over", lambda: None)


def queued(order: str, address: str) -> dict[str, Any]:
    """Return a message as Lambda gets it from SQS; a sender with boto3 sets ``StringValue`` and ``DataType``."""
    headers = failpath.run("checkout", run_id=order).headers()
    attributes = {name: {"stringValue": value, "dataType": "String"} for name, value in headers.items()}
    return {"messageId": f"message of {order}", "body": address, "messageAttributes": attributes}


if __name__ == "__main__":
    print(handler({"Records": [queued(sys.argv[1], "1 High Street")]}, None))
