"""What the names of a program are, found without running it."""
