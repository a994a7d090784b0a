"""The clock of this machine, beside that of the endpoint."""

from typing import Final

from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.journal.clock import TOLERANCE_SECONDS, machine_clock

_CHECK: Final = "clock"
_SMALL_SECONDS: Final = 5.0
"""A difference that the way of an answer, and its whole seconds, may make."""

_ADVICE: Final = "set it by NTP, as by `timedatectl set-ntp true`"


def check_clock() -> list[Finding]:
    """Check the clock against the header ``Date`` of the last answer."""
    ahead = machine_clock.seconds_ahead()
    if ahead is None:
        text = "not compared: no answer of the endpoint has said its time"
        return [Finding(_CHECK, "note", text, "", {"secondsAhead": None})]
    facts = {"secondsAhead": round(ahead, 1)}
    if abs(ahead) <= _SMALL_SECONDS:
        return [Finding(_CHECK, "ok", "agrees with the endpoint's", "", facts)]
    text = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the endpoint's: the times of steps are wrong"
    if abs(ahead) > TOLERANCE_SECONDS:
        text += ", and records of processes that have ended do not expire as they should"
        return [Finding(_CHECK, "problem", text, _ADVICE, facts)]
    return [Finding(_CHECK, "warning", text, _ADVICE, facts)]
