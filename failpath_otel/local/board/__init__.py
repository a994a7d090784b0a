"""The list of flows: the figures of each, and in which order they are shown."""
