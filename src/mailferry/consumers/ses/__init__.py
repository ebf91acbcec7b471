"""Amazon's words for what the journal holds, and which topics are told of it."""
