"""Mailferry: delivers email, tests email, and speaks Mailtrap's API, Amazon SES's API and SMTP."""

from importlib.metadata import version

__version__ = version("mailferry")
