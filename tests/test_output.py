"""What a process prints is read in full."""

import subprocess
import sys

import pytest

from tests.output import rest_of


@pytest.mark.process
def test_lines_that_came_together_with_the_one_that_was_read_are_not_missed() -> None:
    talk = "import sys; print('1\\n2\\n3', flush=True); input(); print(4); sys.stderr.write('complaint')"
    with subprocess.Popen(
        [sys.executable, "-c", talk], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert next(iter(process.stdout)) == "1\n"
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert rest_of(process, 30) == ("2\n3\n4\n", "complaint")
        assert process.returncode == 0


@pytest.mark.process
def test_a_process_that_does_not_end_in_time_is_an_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            rest_of(process, 0.01)
        process.kill()
