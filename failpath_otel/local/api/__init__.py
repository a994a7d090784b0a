"""What the local receiver answers: events and spans that come in, the page and what it asks for."""
