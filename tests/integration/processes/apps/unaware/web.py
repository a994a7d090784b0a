"""A Flask application as it was before it had heard of us."""

import os
import time
from pathlib import Path
from typing import Final

from flask import Flask, request

app: Final = Flask(__name__)


@app.post("/charge")
def charge() -> str:
    until = request.args.get("until")
    while until and not Path(until).exists():
        time.sleep(0.01)
    return str(os.getpid())
