"""What comes back after a message has left: opens, clicks, unsubscriptions, and what the simulator plays."""
