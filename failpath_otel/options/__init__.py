"""The options of configure(): a row each, their checks, and where they are read from."""
