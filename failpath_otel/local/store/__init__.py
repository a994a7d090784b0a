"""The database: events, a row for each run, and how it is projected, queried and pruned."""
