"""The way in: every endpoint hands its submissions here, and here alone a message comes to be."""
