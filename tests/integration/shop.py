"""A shop as it was before it had heard of us: Flask and SQLAlchemy, started with or without OpenTelemetry.

``shop.py`` handles two requests and ends; ``shop.py serve`` prints its port and serves. A charge with ``?until=…``
waits until that file is there.
"""

import sys
import time
from pathlib import Path

from flask import Flask, request
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool
from werkzeug.serving import make_server

app = Flask(__name__)
engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE payments (amount INTEGER)"))


@app.post("/charge")
def charge() -> str:
    if request.args.get("declined"):
        msg = "the bank declined the card, password=hunter2"
        raise PermissionError(msg)
    until = request.args.get("until")
    while until and not Path(until).exists():
        time.sleep(0.01)
    with engine.begin() as payments:
        payments.execute(text("INSERT INTO payments VALUES (4999)"))
    return "charged"


if sys.argv[1:] == ["serve"]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()
else:
    app.logger.disabled = True
    with app.test_client() as client:
        for query, run_id in (("", "req-1"), ("?declined=1", "req-2")):
            print(client.post(f"/charge{query}", headers={"X-Request-Id": run_id}).status_code)
