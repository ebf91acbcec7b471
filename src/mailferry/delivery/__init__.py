"""The way out: the queue, the worker, the bytes of one recipient, the transports, and settle, where every attempt ends."""
