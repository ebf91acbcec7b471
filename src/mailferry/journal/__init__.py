"""What happened: messages as accepted, recipients and their states, and the append-only journal of events."""
