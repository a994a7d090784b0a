"""Secrets, sizes and odd values, taken out of what users give."""
