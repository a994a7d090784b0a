"""What a user does with runs: pins, deletions, files, and the notices that were asked for."""
