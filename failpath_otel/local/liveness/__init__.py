"""Whether what runs still runs."""
