"""The errors of steps: their rows, and queries over them."""
