"""Flows: their figures, the shape of their graph, and its layout."""
