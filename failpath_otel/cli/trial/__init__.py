"""Rules that are tried on the spans of a running program."""
