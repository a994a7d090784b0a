"""What is known of runs beside their events: that they are pinned, that they came as files."""
