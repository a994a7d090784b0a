"""What is kept: the database, its rows, and what is worked out of events before it is kept."""
