"""The pages on which whoever has a share link reads what the sandbox caught."""
