"""Servers that tests talk to over real sockets: a name server, a mail host, and the certificates they show."""
