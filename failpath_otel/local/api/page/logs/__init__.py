"""Logs for the page: their routes, and the JSON of these."""
