"""gunicorn's configuration: what a worker does when it begins, where the test asks for it."""

import os
import random
from typing import Any

from tests.integration.processes.apps.telling import connect


def post_fork(_server: Any, _worker: Any) -> None:
    if os.environ.get("CONFIGURE") == "in post_fork":
        connect()


def post_worker_init(worker: Any) -> None:
    """Seeds ``random``, as every other worker; later than ``post_fork``, because gunicorn seeds it in between."""
    if "SEED" in os.environ:
        random.seed(int(os.environ["SEED"]))
