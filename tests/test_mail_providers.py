"""Mailbox providers: by the host that answered, and by the recipient's domain where that is the provider's own."""

import pytest

from mailferry.mail.providers import OTHER, PROVIDERS, provider


@pytest.mark.parametrize(
    ("domain", "host", "expected"),
    [
        ("gmail.com", "gmail-smtp-in.l.google.com", "Google"),
        ("shop.example", "aspmx.l.google.com", "Google Workspace"),
        ("shop.example", "ASPMX2.GOOGLEMAIL.COM.", "Google Workspace"),
        ("yahoo.co.uk", "", "Yahoo"),
        ("yahoo.fr", "mx-eu.mail.am0.yahoodns.net", "Yahoo"),
        ("hotmail.com", "hotmail-com.olc.protection.outlook.com", "Outlook"),
        ("live.nl", "", "Outlook"),
        ("shop.example", "shop-example.mail.protection.outlook.com", "Office 365"),
        ("shop.example", "mx1.hc123-4.eu.iphmx.com", "Cisco"),
        ("shop.example", "inbound-smtp.eu-west-1.amazonaws.com", "Amazon SES"),
        ("hey.com", "work-mx.app.hey.com", "Hey"),
        ("shop.example", "mx.shop.example", OTHER),
        ("shop.example", "", OTHER),
        # The name of a brand further down says nothing.
        ("live.concerts.shop.example", "mx.shop.example", OTHER),
        ("yahoo.example", "mx.yahoo.example", OTHER),
        ("notgoogle.com", "mx.notgoogle.com", OTHER),
    ],
)
def test_provider(domain: str, host: str, expected: str) -> None:
    assert provider(domain, host) == expected
    assert expected in PROVIDERS
