"""The project key: whether there is one, and its form. It is never shown."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from failpath_otel.addresses import is_loopback
from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.cli.doctor.settings import Settings

_CHECK: Final = "key"
_FORM: Final = "fp_project_"
_SET: Final = "set FAILPATH_PROJECT_KEY to the key of the project, which Failpath's dashboard shows"


def check_key(settings: Settings) -> list[Finding]:
    """Check the key of the program, and whether delivery is turned on."""
    source = settings.sources["project_key"]
    facts = {"present": settings.values["project_key"] is not None, "source": source}
    error = settings.errors.get("project_key")
    if error is not None:
        text = error.partition(": pass project_key=")[0]
        found = [Finding(_CHECK, "problem", text, _SET, facts)]
    else:
        local = is_loopback(urlsplit(settings.url).hostname or "")
        found = [_check_form(str(settings.values["project_key"]), source, facts, local=local)]
    if settings.values["enabled"] is False:
        text = f"nothing is sent: enabled is false ({settings.sources['enabled']})"
        found.append(Finding(_CHECK, "problem", text, "set it to true, or take it away", {"enabled": False}))
    return found


def _check_form(key: str, source: str, facts: Mapping[str, object], *, local: bool) -> Finding:
    facts = {**facts, "hasUsualForm": key.startswith(_FORM) and len(key) > len(_FORM)}
    if key[0] in "\"'":
        text = f"set by {source}; it begins with a quotation mark, which is taken as a part of it"
        return Finding(_CHECK, "problem", text, "take the quotation marks away", facts)
    if not facts["hasUsualForm"]:
        text = f"set by {source}; keys of Failpath begin with {_FORM}, and this one does not"
        if local:
            return Finding(_CHECK, "note", f"{text}; a receiver on this machine takes any", "", facts)
        return Finding(_CHECK, "warning", text, "compare it with the key of the project", facts)
    return Finding(_CHECK, "ok", f"set by {source}, of the form {_FORM}…", "", facts)
