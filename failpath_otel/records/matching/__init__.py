"""What rules ask of a span, and the names that they make of it. Knows neither rules nor records."""
