"""What a text in metadata costs that holds no secret: the look for secrets in it, on the application's thread."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Final

from bench.sink import BenchError
from bench.span import Action
from bench.table import Row
from failpath_otel.scrubbing import text_shapes
from failpath_otel.scrubbing.text import redact_text

_CHARS: Final = 200
TEXTS: Final = {
    "prose": "The order was packed in the second hall and left for the harbour at noon, two hours later than planned,"
    " because a lorry with the labels for the boxes was held up at the bridge for most of the morning, so none moved.",
    "SQL": "SELECT orders.id, orders.total, customers.name FROM orders JOIN customers ON customers.id ="
    " orders.customer_id WHERE orders.status = 'open' AND orders.total > 100 AND customers.city = 'Lima' LIM",
    "JSON": '{"order_id": 48213, "city": "Lima", "items": [{"sku": "A-113", "count": 2, "price": 12.5}, {"sku": "B-7",'
    ' "count": 1, "price": 3.25}], "status": "open", "shipped": false, "total": 28.25, "currency": "EUR", "weight": 3}',
    "UUIDs": "request 550e8400-e29b-41d4-a716-446655440000 of job 7d444840-9dc0-41d1-b245-5ffdce74fad2 moved to worker"
    " 1b4e28ba-2fa1-41d2-883f-0016d3cca427 after a retry of 6ba7b810-9dad-41d1-80b4-00c04fd430c8 had ended",
    "timestamps": "the order came at 1764438561123456789 and was taken up by the worker of the second hall, which had"
    " waited since 1764438560000000017 for one that fits on the lorry that leaves for the harbour at noon, as planned.",
    "URL": "https://shop.example/orders/48213/items?page=3&sort=city&order=desc&filter=open&limit=50&fields=id,total"
    "&ref=newsletter&lang=de&from=2026-01-01&until=2026-02-01&view=table&columns=12&zoom=100&theme=dark&print=no",
    "traceback": 'Traceback (most recent call last):\n  File "/srv/shop/orders/cart.py", line 213, in total_of_items\n'
    "    return self.rates[city] * item.price + self.fees(city, weight)\n"
    '  File "/srv/shop/rates.py", line 18, in fees\n',
}
_ROUNDS: Final = 60
_BURST: Final = 100
_COUNTED: Final = 500


def before(text: str) -> bool:
    """Search a text as before there were forms of tokens, keys and commands; these texts have none.

    The search is for credentials in URLs, bearers, JSON web tokens and project keys: the baseline.
    """
    if ("//" in text or "\\/" in text) and ("@" in text or text.count(":") > 1 or "=" in text):
        return _PARAMETER.search(text) is None
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered or "token" in lowered:
        return False
    return "eyJ" not in text and "fp_project_" not in text


_PARAMETER: Final = re.compile(r"(?<=[?&;#])(?P<key>secret[\w.\[\]-]{1,128})=(?P<value>(?:(?!\\[nrt])[^&#\s\"'<>])+)")


def of_a_new_shape(text: str) -> str:
    """Search a text of a new shape; texts of a known shape differ in numbers only."""
    text_shapes.forget_shape(text)
    return redact_text(text)


SUBJECTS: Final = (before, redact_text, of_a_new_shape)


def measure() -> list[Row]:
    """Count machine instructions with Valgrind if it is installed, else measure alternating bursts."""
    valgrind = shutil.which("valgrind")
    rows = []
    for kind, text in TEXTS.items():
        if redact_text(text[:_CHARS]) != text[:_CHARS]:
            msg = f"the text of {kind} is no clean one"
            raise BenchError(msg)
        figures = _times(text[:_CHARS]) if valgrind is None else _instructions(valgrind, kind)
        unit = "ns" if valgrind is None else "instructions"
        for figure, name, bar in zip(figures[1:], ("known shape", "new shape"), (1.1, None), strict=True):
            row = f"text of {_CHARS}, {kind}, {name}, against before"
            rows.append(Row(row, f"{figure:.0f} {unit}", f"{figures[0]:.0f}", figure / figures[0], bar=bar))
    return rows


def _times(text: str) -> list[float]:
    actions: list[Action] = [lambda subject=subject: subject(text) for subject in SUBJECTS]  # type: ignore[misc]
    times: list[list[float]] = [[] for _ in actions]
    for number in range(_ROUNDS):
        for place in range(len(actions)):
            turn = (place + number) % len(actions)
            began = perf_counter_ns()
            for _ in range(_BURST):
                actions[turn]()
            times[turn].append((perf_counter_ns() - began) / _BURST)
    return [median(each) for each in times]


def _instructions(valgrind: str, kind: str) -> list[float]:
    nothing = _count(valgrind, kind, -1)
    return [(_count(valgrind, kind, place) - nothing) / _COUNTED for place in range(len(SUBJECTS))]


def _count(valgrind: str, kind: str, subject: int) -> int:
    """Return the instructions of a process that searches a text the counted number of times, and once more."""
    with TemporaryDirectory() as directory:
        out = Path(directory, "out")
        command = [valgrind, "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={out}"]
        program = [sys.executable, "-m", "bench.texts", kind, str(subject)]
        # The hashes of texts are the same in all of them, and so is the work of each dictionary.
        same = {**os.environ, "PYTHONHASHSEED": "0"}
        ended = subprocess.run([*command, *program], capture_output=True, text=True, check=False, env=same)
        found = re.search(r"I\s+refs:\s+([\d,]+)", ended.stderr)
        if ended.returncode or found is None:
            msg = f"valgrind did not count: {ended.stderr[-300:]}"
            raise BenchError(msg)
        return int(found[1].replace(",", ""))


def _nothing(_: str) -> None:
    return None


if __name__ == "__main__":
    text, place = TEXTS[sys.argv[1]][:_CHARS], int(sys.argv[2])
    subject = SUBJECTS[place] if place >= 0 else _nothing
    for each in SUBJECTS:
        each(text)
    for _ in range(_COUNTED):
        subject(text)
