"""What was answered yes survives: kills, two processes, and the order of writes and syncs."""
