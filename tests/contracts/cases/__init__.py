"""How each operation of the table is brought to each of its answers, with objects that were made through the API."""

from tests.contracts.cases import accounts, contacts, domains, logs, sandbox, sending, templates
from tests.contracts.cases.case import CASES, Case, Request

__all__ = ["CASES", "Case", "Request", "accounts", "contacts", "domains", "logs", "sandbox", "sending", "templates"]
