"""The page for coding agents: how to instrument a flow, and the keys of the declared flows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from failpath_otel.flows.flow import Flow
from failpath_otel.flows.typed_module import flows_hash

MARK: Final = "<!-- Do not edit: made by `failpath-otel types --agents`; sha256 "
"""How every such page begins."""

_TEXT: Final = Path(__file__).with_name("agents.md")


def agents_page(flows: Sequence[Flow]) -> str:
    """Return the page for a project that declares these flows."""
    lines = [f"- {_code(flow.slug)}: {', '.join(_code(node.key) for node in flow.nodes)}" for flow in flows]
    declared = "\n".join(["## Declared flows and their steps", "", *lines])
    return f"{MARK}{flows_hash(flows)} -->\n\n{_TEXT.read_text(encoding='utf-8')}\n{declared}\n"


def _code(key: str) -> str:
    """Return a key as code in one line of Markdown, whatever is in it."""
    shown = " ".join(key.split())
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"
