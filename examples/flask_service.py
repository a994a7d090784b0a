"""A service in Flask: a request goes on with the run of the service that has called, or begins one.

    pip install flask
    flask --app examples/flask_service.py run --port 8000
    curl -X POST -H 'failpath-flow-key: checkout' -H 'failpath-run-id: order-17' http://127.0.0.1:8000/orders

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own.
"""

import time

from flask import Flask, request

import failpath_otel

app = Flask(__name__)
failpath = failpath_otel.configure()


@failpath.step("charge-card")
def charge(cents: int) -> str:
    """Charge the card as a step of the current run, and return the id of the charge."""
    time.sleep(0.05)
    return f"ch_{cents}"


@app.post("/orders")
def order() -> dict[str, str]:
    """Handle one order. The flow key is the caller's; ``flow`` is for callers that send none."""
    with failpath.run_from_headers(request.headers, flow="checkout") as run:
        cents = run.step("price-cart", lambda: 4999)
        return {"run": run.run_id, "charge": charge(cents)}
