"""A file of flows to start from: what was seen, in the form of ``.failpath/flows.json``."""

import json
import re
from collections.abc import Iterable

from failpath_otel.flows.seen import SeenFlow


def draft_of(flows: Iterable[SeenFlow]) -> str:
    """Return the text of the file; flows in the order of their keys, steps in that in which they were first seen."""
    document = {"flows": [_flow(flow) for flow in sorted(flows, key=_key)]}
    text = json.dumps(document, ensure_ascii=False, indent=2)
    # A terminal may be steered by more than JSON itself has as escapes, and keys come from outside.
    return re.sub(r"[^ -~\n]", _escaped, f"{text}\n")


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else json.dumps(char)[1:-1] if not char.isascii() else f"\\u{ord(char):04x}"


def _key(flow: SeenFlow) -> str:
    return flow.flow_key


def _flow(flow: SeenFlow) -> dict[str, object]:
    return {
        "slug": flow.flow_key,
        "nodes": [
            {"id": step.step_key, "sdkStepKey": step.step_key, "label": _label(step.step_key)} for step in flow.steps
        ],
        "edges": [{"source": edge.source, "target": edge.target} for edge in flow.edges],
    }


def _label(key: str) -> str:
    """Return a key as words: ``Charge Card`` of ``charge-card``."""
    return " ".join(word[:1].upper() + word[1:] for word in re.split(r"[-_.\s]+", key) if word) or key
