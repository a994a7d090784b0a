"""gunicorn's configuration: every worker seeds ``random`` alike, where the test asks for it."""

import os
import random
from typing import Any


def post_worker_init(worker: Any) -> None:
    """Later than ``post_fork``, because gunicorn seeds it in between."""
    if "SEED" in os.environ:
        random.seed(int(os.environ["SEED"]))
