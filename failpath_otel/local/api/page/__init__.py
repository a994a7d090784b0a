"""What the page of the local receiver asks for: its routes, its parameters, its answers as JSON."""
