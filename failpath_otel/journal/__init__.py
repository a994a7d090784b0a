"""Records on disk, so that they outlive the process that made them. Knows nothing of steps, spans or the network."""
