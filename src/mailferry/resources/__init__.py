"""What customers keep: accounts, users, tokens, domains, suppressions. Queries take a connection; ids cross rooms, objects do not."""
