"""Texts with placeholders for the wildcards of a span's name and for its attributes."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from failpath_otel.records.matching.values import RESOURCE, text_of_attribute

_BRACES: Final = re.compile(r"(?P<open>\{\{)|(?P<close>\}\})|\{(?P<inner>[^{}]*)\}")
_IS_PLACEHOLDER: Final = re.compile(r"\s*(\d|(attr|resource)\b|['\"])")
"""What does not begin like this is no placeholder, but text: routes are written as ``/orders/{number}``."""

_ALTERNATIVE: Final = re.compile(
    r"""\s*(?:(?P<wildcard>\d{1,3})|(?P<origin>attr|resource):\s*(?P<attribute>[^|'"]*[^|'"\s])"""
    r"""|'(?P<one>[^']+)'|"(?P<two>[^"]+)")\s*"""
)


class _Alternative(NamedTuple):
    wildcard: int | None
    """Its number, from 1."""
    attribute: str
    resource: str
    """The name of an attribute of the resource."""
    text: str


_Placeholder = tuple[_Alternative, ...]


class Rendered(NamedTuple):
    """What a template has become; ``None`` if nothing stands for one of its placeholders."""

    text: str | None
    is_complete: bool
    """No attribute that is not there yet could change it."""


class Template:
    """A text with placeholders: ``{1}`` is what the first wildcard stands for, ``{attr:name}`` an attribute.

    ``{resource:name}`` is one of the resource, and ``{attr:a|attr:b|2|'text'}`` the first of these that is there; of a
    list the first item. ``{{`` and ``}}`` are braces, as are those around anything else.

    Raises:
        ValueError: something between braces begins like a placeholder and is none; the text says why.
    """

    def __init__(self, text: str) -> None:
        self._parts: Final[list[str | _Placeholder]] = []
        at = 0
        for braces in _BRACES.finditer(text):
            self._parts.append(text[at : braces.start()])
            self._parts.append(_part(braces))
            at = braces.end()
        self._parts.append(text[at:])
        placeholders = [part for part in self._parts if isinstance(part, tuple)]
        alternatives = [each for placeholder in placeholders for each in placeholder]
        self.is_fixed: Final = not placeholders
        self.text: Final = "" if placeholders else "".join(part for part in self._parts if isinstance(part, str))
        """The text of a template without placeholders."""
        self.attributes: Final = tuple(each.attribute for each in alternatives if each.attribute)
        self.resources: Final = tuple(each.resource for each in alternatives if each.resource)
        """The attributes of the resource."""
        self.last_wildcard: Final = max((each.wildcard or 0 for each in alternatives), default=0)
        """The highest number of a wildcard."""

    @property
    def pattern(self) -> str:
        """A regular expression that all texts match which the template can become."""
        return "".join(re.escape(part) if isinstance(part, str) else ".*" for part in self._parts)

    def render(
        self, wildcards: Sequence[str], attributes: Mapping[str, Any], clean: Callable[[str], str] | None = None
    ) -> Rendered:
        """Return the text with what stands for its placeholders.

        Args:
            wildcards: what the wildcards of the name stand for.
            attributes: those of the span.
            clean: is called with what a span itself says, its name or an attribute; what it returns stands there.
        """
        rendered: list[str] = []
        is_complete, is_whole = True, True
        for part in self._parts:
            if isinstance(part, str):
                rendered.append(part)
                continue
            found = ""
            for alternative in part:
                found = _found(alternative, wildcards, attributes)
                if found:
                    is_complete = is_complete and (bool(alternative.attribute) or not _has_attribute(part, alternative))
                    if clean is not None and not alternative.resource and not alternative.text:
                        found = clean(found)
                        is_whole = is_whole and bool(found)
                    break
            else:
                is_whole = False
                is_complete = is_complete and not any(each.attribute for each in part)
            rendered.append(found)
        return Rendered("".join(rendered) if is_whole else None, is_complete)


def _has_attribute(placeholder: _Placeholder, end: _Alternative) -> bool:
    """Return whether there is an attribute before *end*."""
    return any(each.attribute for each in placeholder[: placeholder.index(end)])


def _found(alternative: _Alternative, wildcards: Sequence[str], attributes: Mapping[str, Any]) -> str:
    if alternative.attribute:
        found = text_of_attribute(attributes.get(alternative.attribute))
    elif alternative.resource:
        found = text_of_attribute((attributes.get(RESOURCE) or {}).get(alternative.resource))
    elif alternative.wildcard is not None:
        found = wildcards[alternative.wildcard - 1] if alternative.wildcard <= len(wildcards) else ""
    else:
        found = alternative.text
    return found if found.strip() else ""


def _part(braces: re.Match[str]) -> str | _Placeholder:
    if braces["open"] or braces["close"]:
        return braces[0][0]
    inner = braces["inner"]
    if not _IS_PLACEHOLDER.match(inner):
        return braces[0]
    alternatives: list[_Alternative] = []
    at = 0
    while found := _ALTERNATIVE.match(inner, at):
        wildcard = None if found["wildcard"] is None else int(found["wildcard"])
        text = found["one"] or found["two"] or ""
        if wildcard == 0:
            break
        attribute = found["attribute"] or ""
        of_span, of_resource = ("", attribute) if found["origin"] == "resource" else (attribute, "")
        alternatives.append(_Alternative(wildcard, of_span, of_resource, text))
        at = found.end()
        if at == len(inner):
            return tuple(alternatives)
        if inner[at] != "|":
            break
        at += 1
    raise ValueError(
        f"has {braces[0]!r}, which is no placeholder: these are {{1}}, {{attr:name}}, {{resource:name}} and"
        f" {{attr:a|attr:b|2|'text'}}"
    )
