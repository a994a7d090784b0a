"""Passwords in command lines and SQL that no ``key=value`` names: ``mysql -px``, ``IDENTIFIED BY 'x'``."""

import re
from typing import Final

from failpath_otel.scrubbing.pairs import Span, replace_found

# The value follows the letter, a blank or an equals sign, or is the next item of a list.
_OPTION: Final = re.compile(
    r"-(?<=[\s\"'`(]-)(?P<name>[pauU]|-user|-proxy-user)(?P<gap>=|\s{1,4}|\\*[\"'],\s{0,4}(?=\\*[\"']))?"
    r"(?:\\*\"(?P<double>[^\"\\\n]+)|\\*'(?P<single>[^'\\\n]+)|(?P<bare>[^\s\"'\\`,;|&]+))"
)
_TOOL: Final = re.compile(
    r"(?<![\w-])(?P<name>curl|mysql(?:dump|admin|import|check|sh)?|mariadb(?:-\w{1,16})?|sshpass|redis-cli|docker|podman)"
    r"(?![\w-])[^\n]{0,300}\Z"
)
_MAX_COMMAND: Final = 300
_SQL: Final = re.compile(
    r"(?<![\w-])(?:password|identified\s{1,4}(?:with\s{1,4}\S{1,64}\s{1,4})?(?:by|as))(?:\s{1,4}|\s{0,4}\(\s{0,4})"
    r"(?:[NE]|U&)?\\*'(?P<value>(?:[^'\\\n]|''|\\.)+)",
    re.IGNORECASE,
)


def redact_statements(text: str) -> str:
    """Redact the passwords of command lines and SQL."""
    if "-" in text:
        text = replace_found(text, _OPTION.search, _option)
    return replace_found(text, _SQL.search, _sql) if "'" in text else text


def _option(text: str, found: "re.Match[str]") -> Span | None:
    begin = found.start()
    tool = _TOOL.search(text, max(begin - _MAX_COMMAND, 0), begin)
    if tool is None:
        return None
    kind = next(kind for kind in ("double", "single", "bare") if found[kind] is not None)
    span, value, gap = found.span(kind), found[kind], found["gap"]
    name = tool["name"]
    if name == "curl":
        # Without a colon it is a user name.
        return span if found["name"] not in {"p", "a"} and ":" in value else None
    if name == "redis-cli":
        return span if found["name"] == "a" else None
    if found["name"] != "p":
        return None
    if name in {"docker", "podman"}:
        return span if " login" in text[tool.start() : begin] or "'login'" in text[tool.start() : begin] else None
    # In MySQL's tools, `-p x` prompts for the password, and `x` is the database.
    return span if name == "sshpass" or not gap else None


def _sql(_: str, found: "re.Match[str]") -> Span:
    return found.span("value")
