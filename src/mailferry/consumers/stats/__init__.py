"""Statistics: what became of messages, counted out of the journal and read back by domain, category, provider and day."""
