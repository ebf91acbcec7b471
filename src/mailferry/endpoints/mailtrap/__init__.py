"""Mailtrap's API: one table of paths (app), one file a noun, one table of texts (errors)."""
