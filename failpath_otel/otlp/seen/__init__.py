"""Spans of requests as rules see them, whether they are steps or not."""
