"""Facts about features: how each looks, what looks like it and is another thing, and which client is known to lack it."""
