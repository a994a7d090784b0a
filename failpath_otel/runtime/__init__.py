"""The process: its signals, forks, threads, descriptors and its end."""
