"""How a batch that the endpoint refuses for what it contains is searched: by its halves, and by single records."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from failpath_otel import limits
from failpath_otel.records.request import Answer, misconfigured

if TYPE_CHECKING:
    from failpath_otel.delivery.retries.batch import Batch

_BOTH: Final = 2


@dataclass(slots=True, eq=False)
class Halving:
    """A batch that was refused, and what became of its halves."""

    length: int
    """The bytes of its records."""

    above: "Halving | None" = None
    """That of which it is a half itself."""

    passed: int = 0
    """How many of its halves were taken."""

    probes: int = 1 + limits.SINGLES_IN_DOUBT
    """Requests for all of it, and for single records before; counted where nothing is above."""

    @property
    def whole(self) -> "Halving":
        """The batch that this began with."""
        found = self
        while found.above is not None:
            found = found.above
        return found

    def passes(self) -> bool:
        """Note that a half was taken; return whether both were, so that only their size was wrong."""
        self.passed += 1
        return self.passed == _BOTH


class Doubt:
    """A batch that was refused by an endpoint that may take nothing at all: single records are tried (decision 0031).

    Records are chosen by chance, so that a batch that begins with what is refused does not hide what is good.
    """

    def __init__(self, batch: "Batch", answer: Answer, others: Sequence[bytes], chance: Random) -> None:
        self.batch: Final = batch
        self.answer: Final = answer
        alone = len(batch.records) == 1  # and has been asked alone
        self._left: Final = chance.sample(others, min(limits.SINGLES_IN_DOUBT - alone, len(others)))

    def __bool__(self) -> bool:
        """Return whether there are records that were not tried yet."""
        return bool(self._left)

    def next(self) -> bytes:
        """Return the record that is tried next."""
        return self._left.pop()

    def verdict(self) -> Answer:
        """Return the answer where all records were refused: it is not about what they contain."""
        text = f"{self.answer.failure}, whatever record it is asked to take"
        return misconfigured(text, self.answer.status, retry_after=self.answer.retry_after, misaddressed=True)
