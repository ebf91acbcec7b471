"""Sending domains: who may send as them, the keys they are signed with, and their way from unverified to compliant.

``domain`` is the value and its words, ``keys`` its signing keys, ``reading`` finds domains, ``writing`` changes them, and
``book`` remembers them for what is asked with every message.
"""

from mailferry.resources.domains.book import CACHE_MS, DomainBook
from mailferry.resources.domains.domain import (
    AWAITING_QUESTIONNAIRE,
    COMPLIANT,
    DEMO,
    IN_REVIEW,
    MISSING_COMPANY_INFO,
    NON_COMPLIANT,
    SETTINGS,
    SUSPENDED,
    UNDER_REVIEW,
    UNVERIFIED,
    Domain,
    hold_reason,
    named_anew,
    spelled,
)
from mailferry.resources.domains.keys import DomainKey, FreshKeys, fresh_keys, imported
from mailferry.resources.domains.reading import all_domains, by_id, by_name, first_compliant, name_of, named, of_account
from mailferry.resources.domains.writing import add, lock, remove, replace_keys, set_settings, set_state, set_verified

__all__ = [
    "AWAITING_QUESTIONNAIRE",
    "CACHE_MS",
    "COMPLIANT",
    "DEMO",
    "IN_REVIEW",
    "MISSING_COMPANY_INFO",
    "NON_COMPLIANT",
    "SETTINGS",
    "SUSPENDED",
    "UNDER_REVIEW",
    "UNVERIFIED",
    "Domain",
    "DomainBook",
    "DomainKey",
    "FreshKeys",
    "add",
    "all_domains",
    "by_id",
    "by_name",
    "first_compliant",
    "fresh_keys",
    "hold_reason",
    "imported",
    "lock",
    "name_of",
    "named",
    "named_anew",
    "of_account",
    "remove",
    "replace_keys",
    "set_settings",
    "set_state",
    "set_verified",
    "spelled",
]
