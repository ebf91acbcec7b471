"""SMTP as a way in: the conversation, its listeners, and what they hand to the intake."""
