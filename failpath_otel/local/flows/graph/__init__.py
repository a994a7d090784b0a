"""How the graph of a flow follows from what its runs show."""
