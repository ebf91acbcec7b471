"""The network: which hosts we are and trust, whom we may connect to, name look-ups, the SMTP client."""
