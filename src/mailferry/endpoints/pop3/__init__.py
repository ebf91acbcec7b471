"""POP3 (RFC 1939): an inbox of the sandbox as a mail program reads it."""
