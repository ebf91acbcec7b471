"""What is caught instead of sent: checks of it, and what they report."""
