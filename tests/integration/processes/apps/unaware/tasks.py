"""A Celery application as it was before it had heard of us."""

import os
import time
from pathlib import Path
from typing import Any, Final

from celery import Celery

app: Final[Any] = Celery("shipping", broker=os.environ["BROKER"])


@app.task(name="ship", ignore_result=True)  # type: ignore[untyped-decorator]
def ship(way: str) -> None:
    if way == "declined":
        msg = "no lorry, password=hunter2"
        raise PermissionError(msg)
    if way == "vanish":
        os._exit(1)
    until = Path(way)
    while until.is_absolute() and not until.exists():
        time.sleep(0.01)
