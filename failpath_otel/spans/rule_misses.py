"""The warning where rules match no span at all."""

from time import monotonic

from failpath_otel import limits, semconv
from failpath_otel.records.rule_set import Rules, format_unmatched
from failpath_otel.report import warn_once


class RuleMisses:
    """Logs once that no rule has matched a span, with the names of the spans that there were."""

    def __init__(self) -> None:
        self._due: float | None = None
        self.is_watching = False
        """Log the warning: the endpoint is a local one, where rules are tried out."""

    def on_miss(self, rules: Rules) -> None:
        """Log it if no rule has matched for a while: a program may end by a signal, without a last flush."""
        now = monotonic()
        if self._due is None:
            self._due = now + limits.UNMATCHED_LOG_DELAY
        elif now >= self._due:
            self._due = now + limits.UNMATCHED_LOG_DELAY  # the spans so far may be of the start-up
            self.is_watching = not rules.has_matched
            if self.report(rules):
                self.is_watching = False

    def report(self, rules: Rules) -> bool:
        """Log it if there were requests or messages and no rule has matched; return whether it was so."""
        others = [(scope, name) for scope, name in rules.unmatched_since_entry() if scope != semconv.SCOPE_NAME]
        if others:
            warn_once(
                "rules",
                "Failpath: no rule has matched a span of this process. There were: %s",
                format_unmatched(others),
            )
        return bool(others)
