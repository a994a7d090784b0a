"""The module of keys that ``failpath-otel types`` makes: its constants, and the types of its clients and runs."""

import ast

from failpath_otel.checking.inference.frames import Frame
from failpath_otel.checking.inference.library import PACKAGE
from failpath_otel.checking.inference.statements import Statements
from failpath_otel.checking.inference.values import Class, Imported, Kind, Run, of, texts

_CLIENTS = ("TypedFailpath", "TypedFailpathClient", "TypedMockFailpath")


def define_keys(frame: Frame) -> None:
    """Bind the names of such a module. What it declares for type checkers is left out: it is known better here."""
    body = frame.source.tree.body
    Statements(frame).walk([node for node in body if isinstance(node, (ast.ClassDef, ast.AnnAssign))])
    names = frame.scope.names
    for node in body:
        prefix = node.name.removesuffix("Flow").removeprefix("_") if isinstance(node, ast.ClassDef) else ""
        for atom in names.get(f"_{prefix}Flow") if prefix else ():
            if isinstance(atom, Class):
                slugs = texts(atom.definition.scope.names.get("slug"))
                names.add(f"{prefix}Run", of(Kind(frozenset(map(Run, slugs)))))
    for name in _CLIENTS:
        names.add(name, of(Imported(f"{PACKAGE}.FailpathClient")))
    names.add("typed", of(Imported(f"{PACKAGE}.configure")))
