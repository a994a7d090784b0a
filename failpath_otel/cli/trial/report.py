"""The result of a trial, for people."""

from collections.abc import Iterator

from failpath_otel.cli.printable import printable
from failpath_otel.cli.trial.trial import SpanName, SpanResult, StepMade, TrialResult, UnusedRule


def format_trial(result: TrialResult) -> str:
    """Return the result as text; ends in a line break."""
    return "".join(f"{printable(line)}\n" for line in _lines(result))


def _lines(result: TrialResult) -> Iterator[str]:
    names = len(result.results)
    yield f"{_spans(result.spans)} of {names} name{'s' * (names != 1)}; {result.steps} would be steps"
    if result.missed:
        yield f"{_spans(result.missed)} more came, too many to be looked at"
    if not result.spans:
        yield "Has the program worked meanwhile, and does it send its spans there? It sends those that have ended."
    yield from _section("Steps", [line for each in result.results if each.steps for line in _matched(each)])
    own = [f"  {_name(each.span)}: {_spans(each.states_itself)}" for each in result.results if each.states_itself]
    yield from _section("Steps and runs of their own, to which no rule applies", own)
    unmatched = [line for each in result.results if each.unmatched for line in _unmatched(each)]
    yield from _section("No rule applies", unmatched)
    unused = [line for each in result.unused for line in _unused(each)]
    yield from _section("Rules that apply to none of these spans", unused)


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield from ("", title, *lines)


def _matched(result: SpanResult) -> Iterator[str]:
    yield f"  {_name(result.span)}: {_spans(result.spans)}"
    for made in result.steps:
        yield f"    flow {made.flow!r}, step {made.step!r} by {made.rule}: {_spans(made.spans)}, {_runs(made)}"
        for note in made.notes:
            yield f"      {note}"


def _unmatched(result: SpanResult) -> Iterator[str]:
    yield f"  {_name(result.span)}: {_spans(result.unmatched)}"
    for near in result.near:
        yield f"    nearly {near.rule}: {near.reason}"


def _unused(unused: UnusedRule) -> Iterator[str]:
    yield f"  {unused.rule}: span_name {unused.span_name!r}"
    if unused.nearest is not None:
        yield f"    nearest is {_name(unused.nearest)}: {unused.reason}"


def _runs(made: StepMade) -> str:
    shown = f"run id {', '.join(map(repr, made.run_ids))}" if made.run_ids else ""
    without = "in the run around it or that of the trace" if made.without_run_id else ""
    if shown and without:
        return f"{shown}; {made.without_run_id} {without}"
    return shown or without


def _name(span: SpanName) -> str:
    return f"{span.name!r} ({span.kind}, scope {span.scope!r})"


def _spans(number: int) -> str:
    return f"{number} span{'s' * (number != 1)}"
