"""The answer that counts, of those that come to one request."""

import http.client
from typing import Any, Final

_INTERIM: Final = frozenset(range(100, 200)) - {101}
_MAX_INTERIM: Final = 100
"""Interim answers that are waited for to end."""


class FinalAnswer(http.client.HTTPResponse):
    """The answer that counts: interim ones (103 Early Hints) are read over, of which `http.client` knows only 100."""

    def begin(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        """Read the status and the headers."""
        super().begin(*args, **kwargs)
        for _ in range(_MAX_INTERIM):
            if self.status not in _INTERIM:
                break
            self.headers = self.msg = None  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
            super().begin(*args, **kwargs)
