"""An endpoint that takes all steps but some, and to which requests do not find their way now and then."""

import random
from email.utils import formatdate
from typing import Final

from tests.fault_server import Behaviour, Exchange, answer, redirect, status
from tests.integration.storm_program import REFUSED

_MARK: Final = f'"stepKey":"{REFUSED}-'.encode()
_REFUSALS: Final = (400, 422)
_SLOW_SECONDS: Final = 0.05


def misrouted(code: int) -> Behaviour:
    return status(code, Date=formatdate(usegmt=True))


_WAYS: Final = (
    *(misrouted(404), misrouted(405), misrouted(409), misrouted(421), misrouted(425), misrouted(502)),
    *(redirect("http://127.0.0.1:9/elsewhere"), redirect("/login", 307)),
    answer(200, b"<!doctype html><title>SegmentReader in</title>", Content_Type="text/html"),
)


class Answers:
    """A behaviour of a server; ``taken`` are the bodies of the requests that it has made its own, in their order.

    ``refused`` is how many it has refused for what they contain.

    Args:
        seed: of what it chooses.
        astray: the part of the requests that end somewhere else; without any, it answers at once.
    """

    def __init__(self, seed: int, astray: float) -> None:
        self.taken: Final[list[bytes]] = []
        self.refused = 0
        self.astray = astray
        self._chance: Final = random.Random(seed)

    def __call__(self, exchange: Exchange) -> bool:
        if self._chance.random() < self.astray:
            return self._chance.choice(_WAYS)(exchange)
        if self.astray:
            exchange.closing.wait(self._chance.uniform(0, _SLOW_SECONDS))
        if _MARK in exchange.request.body:
            self.refused += 1
            return status(self._chance.choice(_REFUSALS))(exchange)
        self.taken.append(exchange.request.body)
        return answer(202, Date=formatdate(usegmt=True))(exchange)
