"""Flows: their figures, their graph and how it is drawn."""
