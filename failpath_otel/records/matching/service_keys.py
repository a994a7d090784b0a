"""The keys that rules make of the spans of many services, of which none uses up those of another one."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from failpath_otel import limits
from failpath_otel.records.matching.keys import BoundedKeys, KeyLog, Names
from failpath_otel.records.matching.values import RESOURCE, text_of_attribute

_SERVICE: Final = "service.name"
_NAMESPACE: Final = "service.namespace"

_NAMED: Final = 100
"""Services that the log names."""


def service_of(attributes: Mapping[str, Any]) -> str:
    """Return the name of the service that has sent a span, with its namespace; empty if it has none."""
    resource = attributes.get(RESOURCE) or {}
    name, namespace = text_of_attribute(resource.get(_SERVICE)), text_of_attribute(resource.get(_NAMESPACE))
    return f"{namespace}/{name}" if namespace else name


class RuleKeys:
    """What the keys of one rule have in common, whichever service they are for.

    Args:
        max_keys: the most different pairs of a flow and a step of one service.
        flow: the flow key, if it is fixed.
        step: the step key, if it is fixed.
        log: says what becomes of the keys of the rule.
    """

    def __init__(self, max_keys: int, flow: str | None, step: str | None, log: KeyLog) -> None:
        self._max: Final = max_keys
        self._flow: Final = flow
        self._step: Final = step
        self.log: Final = log
        """Says what becomes of the keys."""

    def of_service(self, services: "ServiceKeys", service: str) -> BoundedKeys:
        """Return the keys of one service, of which there are none yet."""
        return BoundedKeys(
            self._max, self._flow, self._step, self.log, partial(services.log_too_many, self.log, service)
        )


class ServiceKeys:
    """The keys of all rules by the services of the spans. Used on any thread.

    Together they are bounded, because senders can invent services. Beyond, those of the service and the rule that were
    looked for the longest time ago are forgotten: it may make as many again, and is not made to pay for the others.
    """

    def __init__(self) -> None:
        self._keys: Final[OrderedDict[tuple[str, RuleKeys], BoundedKeys]] = OrderedDict()
        self._count = 0
        self._named: Final[set[str]] = set()
        self._lock: Final = threading.Lock()

    def __len__(self) -> int:
        """Return how much is kept: each key, and each pair of a service and a rule."""
        return self._count

    def names(self, rule: RuleKeys, service: str, flow: str | None, step: str | None) -> Names:
        """Return the keys that a rule makes for a service, as :meth:`BoundedKeys.names`."""
        place = service[: limits.MAX_KEY_CHARS], rule
        with self._lock:
            keys = self._keys.get(place)
            if keys is None:
                keys = self._keys[place] = rule.of_service(self, place[0])
                self._count += 1
            else:
                self._keys.move_to_end(place)
            before = len(keys)
            names = keys.names(flow, step)
            self._count += len(keys) - before
            while self._count > limits.MAX_KEPT_KEYS and len(self._keys) > 1:
                self._count -= 1 + len(self._keys.popitem(last=False)[1])
        return names

    def log_too_many(self, log: KeyLog, service: str, max_keys: int) -> None:
        """Say that a service has too many keys, once for each service, and for the first ones only."""
        if service in self._named or len(self._named) >= _NAMED:
            return
        self._named.add(service)
        log.too_many_of(max_keys, service, is_last=len(self._named) == _NAMED)
