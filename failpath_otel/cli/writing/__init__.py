"""How the command writes: its standard streams, and files."""
