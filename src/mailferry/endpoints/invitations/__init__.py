"""The pages on which somebody accepts an invitation."""
