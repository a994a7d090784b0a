"""The journal: where it is, how much waits in it, and which processes it is of."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any, Final

from failpath_otel import limits
from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.cli.doctor.settings import Settings
from failpath_otel.journal.survey import SurveyedJournal, survey_journals

_CHECK: Final = "journal"
_ELSEWHERE: Final = "name another directory by FAILPATH_JOURNAL"
_SHOWN: Final = 10
"""How many process ids are listed."""


def check_journal(settings: Settings) -> list[Finding]:
    """Check the directory, and count what waits in it."""
    path, source = settings.values["journal"], settings.sources["journal"]
    if path is None:
        text = f"none ({source}): records wait in memory only, and are lost with their process"
        return [Finding(_CHECK, "note", text, "", {"directory": None})]
    where = f"{path} ({source})"
    try:
        journals = survey_journals(path)
    except FileNotFoundError:
        return [_check_missing(where, Path(path))]
    except OSError as error:
        text = f"{where} cannot be used: {error.strerror or error}"
        return [Finding(_CHECK, "problem", text, _ELSEWHERE, {"directory": path})]
    found = _check_writable(where, Path(path))
    facts = {"directory": path, "journals": [_as_json(each) for each in journals]}
    living = [each for each in journals if each.lives]
    left = [each for each in journals if not each.lives and each.records]
    if living:
        processes = "a living process" if len(living) == 1 else f"{len(living)} living processes"
        text = f"{where}: {_records(living)} of {processes} ({_pids(living)})"
    else:
        text = f"{where}: {'no process is alive that writes here' if left else 'nothing waits'}"
    found.append(Finding(_CHECK, "ok", text, "", facts))
    binding = None if settings.options is None else settings.options.binding
    for each in journals:
        if each.obstacle:
            text = f"{each.name} cannot be read: {each.obstacle}"
            found.append(Finding(_CHECK, "warning", text, "run this as the user of the application"))
    for bound_to in sorted({each.binding for each in left}):
        theirs = [each for each in left if each.binding == bound_to]
        found.append(_check_left(theirs, bound_to, binding))
    return found


def _check_left(left: Sequence[SurveyedJournal], bound_to: str, binding: str | None) -> Finding:
    """Return what to do with what processes have left that were configured alike."""
    hours = max((time() - max(each.written_at for each in left)) / 3600, 0.0)
    text = f"{_records(left)} wait of processes that have ended ({_pids(left)}), the last one for {hours:.1f} h"
    if binding is None:
        advice = "once there is a project key, this says whether they are for it"
    elif bound_to == binding:
        advice = "`failpath-otel drain` delivers them now; so does any program with this configuration"
    else:
        text += f"; they were recorded for another project key, endpoint or route ({bound_to})"
        advice = f"where they belong here, `failpath-otel drain --rebind {bound_to}` delivers them"
    facts = {"binding": bound_to, "isOurs": None if binding is None else bound_to == binding}
    return Finding(_CHECK, "warning", text, advice, facts)


def _check_missing(where: str, path: Path) -> Finding:
    facts = {"directory": str(path), "journals": []}
    above = next((each for each in path.parents if each.exists()), path.parent)
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return Finding(_CHECK, "ok", f"{where}: made by the first program that records a step", "", facts)
    text = f"{where} cannot be made: {above} cannot be written by this user"
    return Finding(_CHECK, "problem", text, _ELSEWHERE, facts)


def _check_writable(where: str, path: Path) -> list[Finding]:
    if not os.access(path, os.W_OK | os.X_OK):
        return [Finding(_CHECK, "problem", f"{where} cannot be written by this user", _ELSEWHERE)]
    free = shutil.disk_usage(path).free
    if free < 2 * limits.JOURNAL_SEGMENT_BYTES:
        text = f"{where}: {free // 1024} KiB are free there, too few for the journal of a process"
        return [Finding(_CHECK, "problem", text, f"make room, or {_ELSEWHERE}", {"freeBytes": free})]
    return []


def _records(journals: Sequence[SurveyedJournal]) -> str:
    number = sum(each.records for each in journals)
    return "1 record" if number == 1 else f"{number} records"


def _pids(journals: Sequence[SurveyedJournal]) -> str:
    pids = sorted({each.pid for each in journals})
    more = len(pids) - _SHOWN
    return ", ".join(map(str, pids[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _as_json(journal: SurveyedJournal) -> dict[str, Any]:
    return {
        "name": journal.name,
        "binding": journal.binding,
        "pid": journal.pid,
        "lives": journal.lives,
        "records": journal.records,
        "obstacle": journal.obstacle or None,
    }
