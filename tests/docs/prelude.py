"""What README.md and docs/ take as given: the names of the reader's own program.

Every program of a page begins with these names. A page says which of them are the reader's.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor as BatchSpanProcessor

request_id = "order-17"
order = SimpleNamespace(id=request_id)
cart = SimpleNamespace(id="cart-1", wants_receipt=False)
begun = time.time() - 60.0
provider = TracerProvider()


def validate_cart() -> SimpleNamespace:
    return cart


def charge(of: SimpleNamespace = cart) -> str:
    assert of is cart
    return "ch_1"


def task(function: Callable[[str], None]) -> SimpleNamespace:
    return SimpleNamespace(delay=function)


app = SimpleNamespace(task=task)
