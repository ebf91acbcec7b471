"""Machines told from people by their requests."""

import pytest

from mailferry.mail import agents

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PEOPLE = [
    FIREFOX,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook 16.0.17328; Microsoft Outlook 16.0.17328)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0",
    "Mozilla/5.0 (Linux; Android 14; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Mobile Safari/537.36",
]
MACHINES = [
    ("Mozilla/5.0", "apple_mail_privacy"),
    ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "gmail_proxy"),
    ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "yahoo_proxy"),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "microsoft_scanner"),
    ("Mozilla/5.0 (compatible; BarracudaCentral)", "scanner"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36", "program"),
    ("curl/8.5.0", "program"),
    ("SomeCrawler/1.0 (crawler)", "bot"),
    ("", "unknown"),
]


@pytest.mark.parametrize("agent", PEOPLE)
def test_people(agent: str) -> None:
    assert agents.judge("GET", {"user-agent": agent}) is None


@pytest.mark.parametrize(("agent", "name"), MACHINES)
def test_machines(agent: str, name: str) -> None:
    found = agents.judge("GET", {"user-agent": agent})
    assert found is not None and found.name == name and found.why


@pytest.mark.parametrize(
    ("name", "value"),
    [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-purpose", "preview"), ("x-moz", "prefetch")],
)
def test_what_is_fetched_ahead(name: str, value: str) -> None:
    found = agents.judge("GET", {"user-agent": FIREFOX, name: value})
    assert found is not None and found.name == "prefetch"


def test_nobody_reads_by_head() -> None:
    found = agents.judge("HEAD", {"user-agent": FIREFOX})
    assert found is not None and found.name == "scanner"
