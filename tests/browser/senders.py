"""Programs that report steps through this library, each in a process of its own, controlled by a test."""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.delivery.programs import environment
from tests.receiver import Receiver

_PROGRAM: Final = """
import sys
import failpath_otel

client = failpath_otel.configure(capture_stack=True, default_metadata={"sender": "of a test"})
run = client.run(sys.argv[1], run_id=sys.argv[2])

def work():
    told = sys.stdin.readline().strip()
    if told.startswith("fail "):
        raise ValueError(told[5:])

print("ready", flush=True)
for line in sys.stdin:
    try:
        run.step(line.strip(), work)
    except ValueError:
        pass
    print("ended", flush=True)
client.flush(timeout=10)
"""

_SECONDS: Final = 30.0


class Sender:
    """A program with one run; it is inside at most one step."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self._expect("ready")

    def begin(self, step_key: str) -> float:
        """Has it enter a step; returns the time in seconds since the epoch, before it was sent the command."""
        before = time.time()
        self._tell(step_key)
        return before

    def end(self) -> None:
        """Has it leave the step that it is in, with success."""
        self._tell("end")
        self._expect("ended")

    def fail(self, message: str) -> None:
        """Has its step raise an error."""
        self._tell(f"fail {message}")
        self._expect("ended")

    def kill(self) -> None:
        """Ends it as the kernel does: by SIGKILL, and waits until it is gone."""
        self.process.kill()
        self.process.wait(_SECONDS)

    def finish(self) -> None:
        """Has it deliver everything and end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(_SECONDS) == 0

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _expect(self, line: str) -> None:
        assert self._lines.get(timeout=_SECONDS).strip() == line

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


@contextmanager
def start_sender(receiver: Receiver, run_id: str, flow_key: str = "checkout") -> Iterator[Sender]:
    """Starts a program, yields it when it is ready to begin steps, and kills it at the end if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, flow_key, run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(receiver.url),
    )
    with process:
        try:
            yield Sender(process)
        finally:
            process.kill()
