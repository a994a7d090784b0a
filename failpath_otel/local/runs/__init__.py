"""Runs: their events, what these come to, and what is shown of it."""
