"""Rules that stand in each other's way."""

from collections.abc import Sequence

from failpath_otel.records.matching.globs import Glob
from failpath_otel.records.rules import StepRule


def first_conflict(rules: Sequence[StepRule]) -> tuple[int, int] | None:
    """Return the places of two rules that apply to one span, as far as their patterns show that; else ``None``.

    They do if they ask for the same kind and attributes, and one pattern equals the other or matches all that the other
    matches; and if the first one asks for no kind and no attributes and leaves nothing to the other one. For others, as
    ``a*`` and ``*b``, the first rule applies.
    """
    globs = [((rule.kind, rule.where), Glob(rule.span_name), Glob(rule.scope)) for rule in rules]
    for later, (asked, name, scope) in enumerate(globs):
        for earlier, (other_asked, other_name, other_scope) in enumerate(globs[:later]):
            if asked == other_asked:
                if name.overlaps(other_name) and scope.overlaps(other_scope):
                    return earlier, later
            elif other_asked == (None, None) and other_name.covers(name) and other_scope.covers(scope):
                return earlier, later
    return None
