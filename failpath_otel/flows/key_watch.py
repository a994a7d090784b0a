"""Warnings about keys that are not declared, as steps begin."""

from pathlib import Path
from typing import Final

from failpath_otel.flows.flows_file import FlowsFileError, read_flows
from failpath_otel.flows.known_keys import KnownKeys
from failpath_otel.report import exception_once, warn_once

_MOST: Final = 100
"""Pairs of keys that are logged; a program that makes up keys would go on without end."""

_WRONG: Final = "Failpath: %s (by %s)"


class KeyWatch:
    """The keys of the declared flows, in a running program.

    Args:
        path: the file, for the log.
        keys: what it declares.
    """

    def __init__(self, path: str, keys: KnownKeys) -> None:
        self._path: Final = path
        self._keys: Final = keys
        self._warnings = 0
        self.known: Final[dict[tuple[str, str], None]] = {
            (flow_key, step_key): None for flow_key, steps in keys.steps.items() for step_key in steps
        }
        """The pairs of flow and step key about which nothing has to be said: looked up for each step."""

    def warn(self, flow_key: str, step_key: str) -> None:
        """Log what is wrong with keys that are not among :attr:`known`, once."""
        try:
            if self._warnings >= _MOST or (flow_key, step_key) in self.known:
                return
            self._warnings += 1
            # First, because a handler of the log may open steps.
            self.known[flow_key, step_key] = None
            mistake = self._keys.wrong_flow(flow_key) or self._keys.wrong_step(step_key, [flow_key])
            if mistake is not None:
                # A wrong flow is said once for all its steps.
                warn_once(f"key {mistake.text} {self._path}", _WRONG, mistake.text, self._path)
        except Exception:  # noqa: BLE001 - the step goes on, whatever a text in it does
            exception_once("checking the key of a step")


def watch_keys(path: str) -> KeyWatch | None:
    """Return the keys of the file at ``path``; ``None`` where it cannot be used, which is logged."""
    try:
        return KeyWatch(path, KnownKeys.of(read_flows(Path(path))))
    except FlowsFileError as error:
        text = "Failpath: keys are not checked, because the file of flows cannot be used: %s"
        warn_once(f"flows {path}", text, str(error))
    except Exception:  # noqa: BLE001 - the program goes on without
        exception_once("reading the file of flows")
    return None
