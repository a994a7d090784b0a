"""Runs: their events, the view that is built of these, and the summary for lists."""
