"""What links in mail lead to: the pixel, clicks, and the pages on which a recipient says what it wants."""
