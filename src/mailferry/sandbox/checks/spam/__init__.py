"""How much a message looks like spam: by SpamAssassin, by rspamd, or by a few rules of our own that say so."""
