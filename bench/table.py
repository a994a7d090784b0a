"""The table: each figure, its baseline, and whether it meets its bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_HEADINGS: Final = ("measure", "figure", "baseline", "ratio", "bar", "goal", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. ``bar`` and ``goal`` are upper bounds of ``value`` where there is one, else of ``ratio``."""

    measure: str
    figure: str
    baseline: str = "-"
    ratio: float | None = None
    value: float | None = None
    unit: str = ""
    bar: float | None = None
    goal: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of the headings."""
        judged = self.ratio if self.value is None else self.value
        verdict = "for information"
        if self.bar is not None and judged is not None:
            verdict = "MISSES THE BAR" if judged > self.bar else "holds"
            if self.goal is not None and judged <= self.goal:
                verdict = "reaches the goal"
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        return (self.measure, self.figure, self.baseline, ratio, self._bound(self.bar), self._bound(self.goal), verdict)

    def _bound(self, bound: float | None) -> str:
        return "-" if bound is None else f"{bound:g}{self.unit}"


def show(rows: Sequence[Row]) -> str:
    """Format all rows as one table."""
    lines = [_HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    rule = "  ".join("-" * width for width in widths)
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([texts[0], rule, *texts[1:]])
