"""The second service: Flask, which takes orders and has a Celery worker ship them."""

from typing import Final

from flask import Flask, request
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from tests.integration.processes.apps.services.common import BY_HEADERS, received, to_send
from tests.integration.processes.apps.services.tasks import ship

app: Final = Flask(__name__)
if not BY_HEADERS:
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]


@app.post("/orders")
def accept() -> str:
    run = received(request.headers)
    with run.step("accept-order"):
        ship.apply_async(("order-17",), headers=to_send(run))
    return run.run_id
