"""What follows the journal, and the words that each dialect has for what stands in it."""
