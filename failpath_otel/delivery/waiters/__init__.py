"""Who waits for records, and what they are told."""
