"""gunicorn's configuration: every worker seeds ``random`` alike, where the test asks for it."""

import os
import random
from typing import Any


def post_fork(server: Any, worker: Any) -> None:
    if "SEED" in os.environ:
        random.seed(int(os.environ["SEED"]))
