"""The command line: one file for what starts and prints, one for the nouns, and how both reach a running server."""
