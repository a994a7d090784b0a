"""The check of a program against declared flows."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from failpath_otel.checking.files.folders import Folders
from failpath_otel.checking.files.place import Place
from failpath_otel.checking.files.program import Program
from failpath_otel.checking.files.source import Source, SourceError
from failpath_otel.checking.finding import UNKNOWN_FLOW, UNKNOWN_STEP, UNUSED_FLOW, UNUSED_STEP, Finding
from failpath_otel.checking.inference.analysis import Analysis
from failpath_otel.checking.inference.uses import Use, Uses
from failpath_otel.checking.rule_keys import RuleKeys, is_rules_file, read_rule_keys
from failpath_otel.flows.known_keys import KnownKeys


@dataclass
class Checked:
    """What a check has found, and what it has looked at."""

    findings: list[Finding] = field(default_factory=list[Finding])
    errors: list[SourceError] = field(default_factory=list[SourceError])
    """What could not be checked."""
    files: int = 0
    keys: int = 0
    """Places where a key is used that is known."""
    computed: int = 0
    """Places where a key is used that is computed when the program runs."""
    seen: int | None = None
    """How many flows a receiver has seen; ``None``: none was asked."""


class Checker:
    """A check of files against flows.

    Args:
        keys: the keys of the flows.
        flows_path: the file that declares them.
    """

    def __init__(self, keys: KnownKeys, flows_path: Path) -> None:
        self._known: Final = keys
        self._flows_path: Final = flows_path
        self._used: set[tuple[str, str]] = set()
        self._used_flows: set[str] = set()
        self._checked = Checked()

    def check(self, paths: Sequence[Path]) -> Checked:
        """Check all files at and below ``paths``. What no code uses is looked for where a folder is among them."""
        checked = self._checked
        folders = Folders(paths)
        sources: dict[str, Source] = {}
        rules: list[RuleKeys] = []
        for path in (each for top in paths for each in folders.files(top)):
            try:
                source = Source(path)
                if path.suffix != ".toml":
                    sources.setdefault(source.absolute, source)
                elif is_rules_file(source):
                    rules += read_rule_keys(source)
                    checked.files += 1
            except SourceError as error:
                checked.errors.append(error)
        checked.files += len(sources)
        program = Program(folders, sources.values())
        analysis = Analysis(folders, program)
        roots = program.in_order()
        analysis.run(roots)
        checked.errors += [error for path, error in analysis.errors.items() if path in sources]
        of_checked = {str(sources[path].path) for path in roots}
        self._check_uses(analysis.uses, of_checked)
        for rule in rules:
            self._check_rule(rule)
        checked.findings.sort(key=lambda finding: (finding.place.path, *finding.place[1:]))
        if any(path.is_dir() for path in paths):
            checked.findings += self._unused(sources.values(), analysis.uses.mentioned)
        return checked

    def _check_uses(self, uses: Uses, of_checked: set[str]) -> None:
        for use in uses.flows.values():
            self._used_flows |= use.keys | _matching(use.patterns, self._known.steps)
            if str(use.source.path) in of_checked:
                self._count(use)
                for key in sorted(use.keys):
                    self._check_flow(use.source, use.place, key, use.last_line)
        for use in uses.steps.values():
            flows = () if use.any_flow else sorted(use.flows)
            self._use_steps(flows, use.keys, use.patterns)
            if str(use.source.path) in of_checked:
                self._count(use)
                for key in sorted(use.keys):
                    self._check_step(use.source, use.place, key, flows, use.last_line)

    def _count(self, use: Use) -> None:
        self._checked.keys += bool(use.keys)
        self._checked.computed += not use.keys

    def _check_rule(self, rule: RuleKeys) -> None:
        flows = [rule.flow.text] if rule.flow.is_fixed else []
        self._used_flows |= _matching({rule.flow.pattern}, self._known.steps)
        self._use_steps(flows, (), {rule.step.pattern})
        self._checked.keys += rule.flow.is_fixed + rule.step.is_fixed
        self._checked.computed += (not rule.flow.is_fixed) + (not rule.step.is_fixed)
        for flow in flows:
            self._check_flow(rule.source, rule.flow_place, flow)
        if rule.step.is_fixed:
            self._check_step(rule.source, rule.step_place, rule.step.text, flows)

    def _check_flow(self, source: Source, place: Place, key: str, last_line: int | None = None) -> None:
        mistake = self._known.wrong_flow(key) if key else None
        if mistake is not None:
            finding = Finding(place, "error", UNKNOWN_FLOW, mistake.text, key, None, mistake.suggestion)
            self._add(source, finding, last_line)

    def _check_step(
        self, source: Source, place: Place, key: str, flows: Sequence[str], last_line: int | None = None
    ) -> None:
        mistake = self._known.wrong_step(key, flows) if key else None
        if mistake is not None:
            flow = flows[0] if len(flows) == 1 else None
            finding = Finding(place, "error", UNKNOWN_STEP, mistake.text, flow, key, mistake.suggestion)
            self._add(source, finding, last_line)

    def _add(self, source: Source, finding: Finding, last_line: int | None) -> None:
        line = finding.place.line or 1
        if not source.ignores(line, last_line or line, finding.code):
            self._checked.findings.append(finding)

    def _use_steps(self, flows: Iterable[str], keys: Iterable[str], patterns: set[str]) -> None:
        for flow in [each for each in flows if each in self._known.steps] or self._known.steps:
            steps = self._known.steps[flow]
            found = set(keys).intersection(steps) | _matching(patterns, steps)
            self._used |= {(flow, step) for step in found}

    def _unused(self, sources: Iterable[Source], mentioned: set[str]) -> Iterator[Finding]:
        place = Place(str(self._flows_path))
        missing = {
            step for flow, steps in self._known.steps.items() for step in steps if (flow, step) not in self._used
        }
        missing |= self._known.steps.keys() - self._used_flows
        # What was probably meant is not missing as well.
        mentioned |= {finding.suggestion for finding in self._checked.findings if finding.suggestion is not None}
        found = mentioned | _literals(sources, missing - mentioned)
        for flow, steps in self._known.steps.items():
            if flow not in self._used_flows and flow not in found:
                text = f"flow {flow!r} is nowhere in the code"
                yield Finding(place, "warning", UNUSED_FLOW, text, flow)
                continue
            for step in steps:
                if (flow, step) not in self._used and step not in found:
                    text = f"step {step!r} of {flow!r} is nowhere in the code"
                    yield Finding(place, "warning", UNUSED_STEP, text, flow, step)


def _matching(patterns: set[str], keys: Iterable[str]) -> set[str]:
    return {key for pattern in patterns for key in keys if re.fullmatch(pattern, key, re.DOTALL)}


def _literals(sources: Iterable[Source], keys: set[str]) -> set[str]:
    """Return those of ``keys`` that stand as texts in a file that was not generated: helpers may get them."""
    found: set[str] = set()
    if not keys:
        return found
    # In quotes, because a key such as `run` is a word of the language; what has escapes is missed.
    quoted = re.compile(b"[\"'](?:" + b"|".join(re.escape(key.encode(errors="replace")) for key in keys) + b")[\"']")
    for source in sources:
        if quoted.search(source.data) and not source.is_generated:
            try:
                found |= {
                    node.value
                    for node in ast.walk(source.tree)
                    if isinstance(node, ast.Constant) and type(node.value) is str and node.value in keys
                }
            except SourceError:
                continue
    return found
