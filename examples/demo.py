"""Shows what Failpath would see: real processes, the real pipeline, a receiver on this machine.

Starts ``failpath-otel local`` with a temporary database, runs ``examples/checkout.py`` four times against it, one of
them killed in the middle of a step, prints every run as the receiver has it, and names the address of its page.

    python examples/demo.py [--open]

``--open`` opens the page in the browser and keeps the receiver up until Ctrl-C.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from failpath_otel.cli.local_client import ReceiverError, fetch_run
from failpath_otel.cli.table import format_runs
from failpath_otel.local.runs.view import RunView

CHECKOUT: Final = Path(__file__).with_name("checkout.py")
DEADLINE: Final = 20.0
SECONDS_IN_THE_STEP: Final = 1.0


@contextmanager
def receiver(directory: Path) -> "Iterator[tuple[str, subprocess.Popen[str]]]":
    """Run a receiver on a free port; yield its address and its process."""
    command = [sys.executable, "-m", "failpath_otel.cli", "local", "--port", "0", "--db", str(directory / "demo.db")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        if "http://" not in ready:
            sys.exit("The receiver did not start.")
        yield ready.partition(" at ")[2].split()[0], process
    finally:
        process.terminate()
        process.wait(10)


def checkout(url: str, journal: Path, run_id: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start one checkout as a process of its own."""
    environment = {
        **os.environ,
        "FAILPATH_PROJECT_KEY": "fp_project_demo",
        "FAILPATH_DEV_ENDPOINT": url,
        "FAILPATH_JOURNAL": str(journal),
    }
    command = [sys.executable, str(CHECKOUT), "--run-id", run_id, *arguments]
    return subprocess.Popen(command, env=environment, text=True)  # noqa: S603 - our own program


def wait_for(url: str, run_id: str, arrived: Callable[[RunView], bool]) -> RunView:
    """Return the run once ``arrived`` accepts it."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            run = fetch_run(url, run_id)
        except ReceiverError:
            run = None
        if run is not None and arrived(run):
            return run
        time.sleep(0.02)
    sys.exit(f"{run_id} did not arrive at the receiver within {DEADLINE:.0f} s.")


def charging(run: RunView) -> bool:
    """Return whether the run is inside its second step."""
    return any(step.step_key == "charge-card" and step.status == "running" for step in run.steps)


def show(text: str) -> None:
    """Print at once, so that the output of the processes comes in order."""
    print(text, flush=True)


def play(url: str, journal: Path) -> list[RunView]:
    """Run four checkouts, one after another, and return them as the receiver has them."""
    runs: list[RunView] = []
    for title, run_id, arguments in (
        ("1. A checkout that succeeds:", "order-1", []),
        ("2. One whose card is declined:", "order-2", ["--card", "declined"]),
        ("3. One that skips the receipt:", "order-3", ["--no-receipt"]),
    ):
        print(title, end=" ", flush=True)
        checkout(url, journal, run_id, *arguments).wait(DEADLINE)
        runs.append(wait_for(url, run_id, lambda run: run.status != "running"))

    print("4. One whose process is killed inside charge-card:", end=" ", flush=True)
    process = checkout(url, journal, "order-4", "--slow-bank")
    try:
        wait_for(url, "order-4", charging)
        show("the receiver shows it running,")
        time.sleep(SECONDS_IN_THE_STEP)
    finally:
        process.kill()
        process.wait(10)
    show(f"   {SECONDS_IN_THE_STEP:.0f} s later comes SIGKILL.\n")
    runs.append(wait_for(url, "order-4", lambda run: run.liveness == "gone"))
    return runs


def show_next_steps() -> None:
    """Print how to go on."""
    python = os.path.relpath(sys.executable)
    command = Path(python).with_name("failpath-otel")
    local = "FAILPATH_PROJECT_KEY=any FAILPATH_DEV_ENDPOINT=http://127.0.0.1:3001"
    show(
        f"\nNext, with the key of a Failpath project:\n"
        f"  FAILPATH_PROJECT_KEY=fp_project_... {python} examples/checkout.py\n"
        f"or without one, on this machine alone, in two terminals:\n"
        f"  {command} local\n"
        f"  {local} {python} examples/checkout.py; {command} runs"
    )


def show_page(url: str, process: "subprocess.Popen[str]") -> None:
    """Open the page, and wait for Ctrl-C or for the end of the receiver."""
    # The receiver must not outlive a demo that is asked to end in another way; and a shell that starts it in the
    # background lets it ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        opened = webbrowser.open(f"{url}/")
        show(f"\nThe page is {'opened' if opened else 'to be opened in a browser'}; Ctrl-C ends it.")
        process.wait()
    except KeyboardInterrupt:
        show("\nEnded.")


def main() -> None:
    """Run the whole demonstration; about five seconds."""
    parser = argparse.ArgumentParser(description="What Failpath would see.")
    parser.add_argument("--open", action="store_true", help="open the page in the browser, and stay up until Ctrl-C")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="failpath-demo-") as directory, receiver(Path(directory)) as (url, process):
        show(f"A Failpath of your own listens at {url}; its database is temporary.\n")
        runs = play(url, Path(directory) / "journal")
        show("What the receiver has:\n")
        show(format_runs(runs, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
        show(
            "order-4 is `gone`: it was `running` when its process ended, and no process was left to report more.\n"
            "On Failpath's dashboard it stays `running`, and that is how a crash shows."
        )
        show_next_steps()
        show(f"\nThe same as a page, live: {url}/")
        if options.open:
            show_page(url, process)
        else:
            show("It ends with this demo; `make demo ARGS=--open` keeps it up and opens it.")


if __name__ == "__main__":
    main()
