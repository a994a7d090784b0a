"""The files of the page: what is served of them, and joined to what."""
