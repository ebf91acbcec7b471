"""Notices: what those who keep an account are told by mail, of reviews, webhooks, and each Monday of their domains.

What is to be told is written with what it tells of (resources/notices.py); ``words`` says it, ``send`` sends it, and
``weekly`` writes the health mails.
"""
