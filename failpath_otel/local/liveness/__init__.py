"""Whether running steps still run: by their processes, and by their usual durations."""
