"""A parent that is killed right after its steps, and leaves a child that goes on until it is told to end."""

import os
import signal
import sys

from tests.integration.processes.apps.telling import begin_run, block, connect, take_some

failpath = connect()
run = begin_run(failpath)
with block(run, "open"):
    if os.fork():
        take_some(run, "of the parent: ")
        os.kill(os.getpid(), signal.SIGKILL)
    take_some(run, "of the child: ")
    sys.stdin.readline()
