"""An AWS Lambda function: what its steps have reported is delivered before Lambda freezes the process.

Deploy this file with ``failpath-otel`` beside it, ``aws_lambda.handler`` as the handler, and the variables
``FAILPATH_PROJECT_KEY`` and ``FAILPATH_JOURNAL=/tmp/failpath``: only ``/tmp`` can be written there. Here, with an event
as a queue of SQS sends it:

    python examples/aws_lambda.py order-17
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import failpath_otel

failpath = failpath_otel.configure()
Handler = Callable[[dict[str, Any], Any], Any]


def delivers(handler: Handler) -> Handler:
    """Decorates a handler: waits for the delivery at its end, a second at most, whether it has failed or not.

    What could not be delivered within it waits in the journal, and goes out with the next call of this process.
    """

    @functools.wraps(handler)
    def wrapper(event: dict[str, Any], context: Any) -> Any:  # noqa: ANN401 - what Lambda hands over, and gets
        try:
            return handler(event, context)
        finally:
            failpath.flush(timeout=1.0)

    return wrapper


@delivers
def handler(event: dict[str, Any], _: Any) -> dict[str, int]:  # noqa: ANN401 - Lambda's context
    """Ships what a queue asks for; each message goes on with the run of the service that has sent it."""
    for message in event["Records"]:
        run = failpath.run_from_headers(message["messageAttributes"], flow="shipping")
        with run.step("print-label", metadata={"address": message["body"]}):
            if not message["body"]:
                msg = "a parcel without an address"
                raise ValueError(msg)
        run.step("hand-over", lambda: None)
    return {"shipped": len(event["Records"])}


def queued(order: str, address: str) -> dict[str, Any]:
    """A message as Lambda gets it from SQS. A sender with boto3 has ``StringValue`` and ``DataType`` instead."""
    headers = failpath.run("checkout", run_id=order).headers()
    attributes = {name: {"stringValue": value, "dataType": "String"} for name, value in headers.items()}
    return {"body": address, "messageAttributes": attributes}


if __name__ == "__main__":
    print(handler({"Records": [queued(sys.argv[1], "1 High Street")]}, None))
