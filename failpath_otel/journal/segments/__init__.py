"""The files of a journal: their frames, how these are written and read."""
