"""The HTTP interface of the local receiver: events, spans, the page and its API, checks of clients."""
