"""What a forked child has to make anew: one hook for the whole package, because Python cannot take a hook back."""

import os
import weakref
from collections.abc import Callable
from typing import Any

from failpath_otel.report import report_fault

_in_child: list["weakref.WeakMethod[Callable[[], Any]]"] = []


def after_fork_in_child(method: Callable[[], Any]) -> None:
    """Has the bound ``method`` called in every child process that is forked while its object lives."""
    _in_child[:] = [reference for reference in _in_child if reference() is not None]
    _in_child.append(weakref.WeakMethod(method))


def _run() -> None:
    for reference in tuple(_in_child):
        method = reference()
        if method is not None:
            try:
                method()
            except Exception:  # noqa: BLE001 - the others have to let go of what is the parent's all the same
                report_fault("beginning anew in a forked child")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run)
