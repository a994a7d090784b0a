"""What follows a fork: one hook for the whole package, because Python cannot unregister a hook."""

import os
import sys
import weakref
from collections.abc import Callable
from typing import Any

from failpath_otel.report import exception_once

_Methods = dict[int, "weakref.WeakMethod[Callable[[], Any]]"]
"""By the ``id`` of the reference: each change is one that no other thread can come into (decision 0037)."""

_in_child: _Methods = {}
_in_parent: _Methods = {}


def after_fork_in_child(method: Callable[[], Any]) -> None:
    """Call the bound *method* in every child process that is forked while its object lives."""
    _add(_in_child, method)


def after_fork_in_parent(method: Callable[[], Any]) -> None:
    """Call the bound *method* in this process after each fork while its object lives."""
    _add(_in_parent, method)


def _add(methods: _Methods, method: Callable[[], Any]) -> None:
    for key, known in methods.copy().items():
        if known() is None:
            methods.pop(key, None)
    reference = weakref.WeakMethod(method)
    methods[id(reference)] = reference


def _run(methods: _Methods, what: str) -> None:
    for reference in methods.copy().values():
        method = reference()
        if method is not None:
            try:
                method()
            except Exception:  # noqa: BLE001 - the other methods have to run
                exception_once(what)


if sys.platform != "win32" and hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=lambda: _run(_in_child, "beginning anew in a forked child"),
        after_in_parent=lambda: _run(_in_parent, "looking after a forked child"),
    )
