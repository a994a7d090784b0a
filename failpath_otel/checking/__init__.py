"""Checks the keys in the source of a program against the flows that a project declares."""
