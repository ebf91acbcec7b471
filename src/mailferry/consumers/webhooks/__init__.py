"""Webhooks: what happens is gathered from the journal (gather.py), waits in tables (pending.py), and is sent (sender.py).

Events of one message arrive in their order. What a receiver does not take is tried again for as long as the log is kept.
"""
