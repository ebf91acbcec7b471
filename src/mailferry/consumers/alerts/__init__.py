"""Deliverability alerts: a domain whose bounces or complaints cross a threshold is told of, once each time it crosses one.

``judge`` is pure, ``words`` says it by mail and to webhooks, ``watch`` looks at the domains every three hours.
"""
