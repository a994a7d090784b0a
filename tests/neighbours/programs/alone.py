"""Stands in for the client, its run and its steps in a program that has a neighbour but no Failpath."""

from collections.abc import Callable
from typing import Any


class AloneStep:
    """A step that is none: as a block and as a decorator it changes nothing."""

    def __enter__(self) -> object:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> object:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function


class Alone(AloneStep):
    """Client and run in one."""

    def run(self, flow_key: str, *, run_id: str) -> "Alone":
        return self

    def step(self, key: str, function: Callable[[], Any] | None = None) -> Any:
        return AloneStep() if function is None else function()

    def skip(self, key: str) -> None:
        pass

    def flush(self, timeout: float) -> bool:
        return True
