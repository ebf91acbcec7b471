"""Host headers read, allowed names matched, proxies believed as far as they are ours."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.net.hosts import (
    BadHost,
    Host,
    HostMatch,
    HostRules,
    certificate_names,
    client_address,
    normalise,
    parse_host,
    trusted_networks,
    url_host,
)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", Host("localhost")),
        ("LocalHost:8025", Host("localhost", 8025)),
        ("mail.example.com.", Host("mail.example.com")),
        ("mail.example.com.:443", Host("mail.example.com", 443)),
        ("mail.example.com:", Host("mail.example.com")),
        ("127.0.0.1:65535", Host("127.0.0.1", 65535, True)),
        ("[::1]", Host("::1", None, True)),
        ("[2001:DB8:0:0::1]:8443", Host("2001:db8::1", 8443, True)),
        ("mail_ferry:8025", Host("mail_ferry", 8025)),
        ("xn--mller-kva.example", Host("xn--mller-kva.example")),
        ("a" * 63 + ".example", Host("a" * 63 + ".example")),
        ("127.1", Host("127.1")),
    ],
)
def test_a_host_header(header: str, host: Host) -> None:
    assert parse_host(header) == host


@pytest.mark.parametrize(
    "header",
    [
        "",
        ":8025",
        ".",
        "mail.example.com..",
        ".example.com",
        "a..b",
        "mail.example.com:65536",
        "mail.example.com:-1",
        "mail.example.com:80:80",
        "mail.example.com:８０",
        "localhost, evil.example",
        "user@localhost",
        "localhost/path",
        "http://localhost",
        " localhost",
        "localhost\n",
        "local\x00host",
        "%6cocalhost",
        "müller.example",
        "::1",
        "[::1",
        "[127.0.0.1]",
        "[::1]x",
        "[fe80::1%25eth0]",
        "[::1]:x",
        "-a.example",
        "a-.example",
        "*.example.com",
        "a" * 64 + ".example",
        ".".join(["a" * 63] * 4),
    ],
)
def test_a_malformed_host_header(header: str) -> None:
    assert parse_host(header) is None
    assert HostRules(["*.example.com"]).match(header) is None


@given(st.text())
def test_no_host_header_raises_and_what_is_read_reads_the_same_again(header: str) -> None:
    host = parse_host(header)
    if host is not None:
        again = f"[{host.name}]" if ":" in host.name else host.name
        assert parse_host(again) == Host(host.name, None, host.is_address)


RULES = HostRules(
    ["mail.example.com", "*.apps.example", "192.0.2.7", "send.api.mailtrap.io"], "https://Ferry.example:8443/x"
)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("localhost:8025", HostMatch("localhost", 8025, "general")),
        ("127.0.0.1", HostMatch("127.0.0.1", None, "general")),
        ("[0:0::1]:8443", HostMatch("::1", 8443, "general")),
        ("send.localhost", HostMatch("send.localhost", None, "send")),
        ("BULK.localhost.", HostMatch("bulk.localhost", None, "bulk")),
        ("sandbox.localhost:8025", HostMatch("sandbox.localhost", 8025, "sandbox")),
        ("ferry.example", HostMatch("ferry.example", None, "general")),
        ("bulk.ferry.example", HostMatch("bulk.ferry.example", None, "bulk")),
        ("mail.example.com", HostMatch("mail.example.com", None, "general")),
        ("send.mail.example.com", HostMatch("send.mail.example.com", None, "send")),
        ("one.apps.example", HostMatch("one.apps.example", None, "general")),
        ("sandbox.apps.example", HostMatch("sandbox.apps.example", None, "sandbox")),
        ("sandbox.one.apps.example", HostMatch("sandbox.one.apps.example", None, "sandbox")),
        ("192.0.2.7:80", HostMatch("192.0.2.7", 80, "general")),
        ("send.api.mailtrap.io", HostMatch("send.api.mailtrap.io", None, "send")),
    ],
)
def test_an_allowed_host(header: str, match: HostMatch) -> None:
    assert RULES.match(header) == match


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "127.0.0.2",
        "[::2]",
        "192.0.2.8",
        "example.com",
        "other.mail.example.com",
        "send.bulk.localhost",
        "mail.example.com.evil.example",
        "notmail.example.com",
        "apps.example",
        "send.apps.example.evil",
        "a.b.apps.example",
        "send.127.0.0.1",
        "send.192.0.2.7",
        "api.mailtrap.io",
        "bulk.api.mailtrap.io",
        "[::ffff:127.0.0.1]",
    ],
)
def test_a_host_that_is_not_allowed(header: str) -> None:
    assert RULES.match(header) is None


def test_without_settings_only_loopback_names_are_served() -> None:
    rules = HostRules()
    assert rules.match("localhost") and rules.match("127.0.0.1") and rules.match("[::1]")
    assert rules.match("mail.example.com") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Mail.Example.com.", "mail.example.com"),
        ("*.Example.com", "*.example.com"),
        ("[::1]", "::1"),
        ("0:0::1", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("Müller.example", "xn--mller-kva.example"),
        ("*.müller.example", "*.xn--mller-kva.example"),
        (" localhost ", "localhost"),
    ],
)
def test_a_name_that_an_operator_writes(text: str, name: str) -> None:
    assert normalise(text) == name


@pytest.mark.parametrize(
    "text",
    ["", "*.", "*", "*.127.0.0.1", "*.*.example", "https://a.example", "a.example:80", "a b", "a/b", "-", "ü" * 64],
)
def test_what_no_operator_can_have_meant_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadHost):
        normalise(text)
    with pytest.raises(BadHost):
        HostRules([text])


def test_the_public_urls_host() -> None:
    assert url_host("") == ""
    assert url_host("https://[2001:DB8::1]:8443/x") == "2001:db8::1"
    for wrong in ("mail.example.com", "https://", "http://[::1", "https://a b/"):
        with pytest.raises(BadHost):
            url_host(wrong)


def test_a_certificate_names_what_is_served() -> None:
    names = certificate_names(
        ["mail.example.com", "*.apps.example", "send.api.mailtrap.io", "192.0.2.7", "", "localhost"]
    )
    assert names == (
        *("localhost", "send.localhost", "bulk.localhost", "sandbox.localhost"),
        *("127.0.0.1", "::1"),
        *("mail.example.com", "send.mail.example.com", "bulk.mail.example.com", "sandbox.mail.example.com"),
        *("*.apps.example", "send.api.mailtrap.io", "192.0.2.7"),
    )
    rules = HostRules(names)
    for name in names:
        header = f"[{name}]" if ":" in name else name.replace("*", "one")
        assert rules.match(header) is not None


# --- proxies ----------------------------------------------------------------------------------------------------------

PROXIES = trusted_networks(["10.0.0.0/8", "127.0.0.1", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),  # nobody we trust: its claim is nothing
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "127.0.0.1, 6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the client wrote the first two itself
        ("10.0.0.1", "203.0.113.9, 10.0.0.2,10.0.0.3", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),  # all ours: the farthest one called
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::9]:4711", "2001:db8::9"),
        ("10.0.0.1", "2001:DB8::9", "2001:db8::9"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9,", "10.0.0.1"),
        ("2001:db8:1::1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("", "203.0.113.9", ""),
        ("socket", "203.0.113.9", "socket"),
    ],
)
def test_who_called(peer: str, forwarded: str | None, client: str) -> None:
    assert client_address(peer, forwarded, None, None, PROXIES).ip == client


def test_host_and_scheme_are_believed_from_trusted_proxies_alone() -> None:
    assert client_address("10.0.0.1", "203.0.113.9", "mail.example.com", "HTTPS", PROXIES) == (
        "203.0.113.9",
        "mail.example.com",
        "https",
    )
    assert client_address("10.0.0.1", None, "evil.example, mail.example.com", "https,http", PROXIES) == (
        "10.0.0.1",
        "mail.example.com",
        "http",
    )
    assert client_address("10.0.0.1", None, "", "gopher", PROXIES) == ("10.0.0.1", None, None)
    assert client_address("198.51.100.1", None, "evil.example", "https", PROXIES) == ("198.51.100.1", None, None)
    assert client_address("10.0.0.1", "203.0.113.9", "evil.example", "https", ()) == ("10.0.0.1", None, None)


@given(st.text(), st.text())
def test_no_forwarded_value_raises(forwarded: str, host: str) -> None:
    ip = client_address("10.0.0.1", forwarded, host, forwarded, PROXIES).ip
    assert str(ipaddress.ip_address(ip)) == ip


def test_trusted_networks() -> None:
    assert [str(network) for network in PROXIES] == ["10.0.0.0/8", "127.0.0.1/32", "2001:db8:1::/48"]
    assert [str(network) for network in trusted_networks(["10.1.2.3/8"])] == ["10.0.0.0/8"]
    with pytest.raises(BadHost, match=r"proxy\.example"):
        trusted_networks(["proxy.example"])


@pytest.mark.parametrize(
    ("host", "role"),
    [
        ("t.example.com", "tracking"),
        ("mt-link.shop.test", "tracking"),
        ("mail.example.com", "general"),
        ("send.mail.example.com", "send"),
        ("send.t.example.com", None),
        ("send.mt-link.shop.test", None),
        ("mt-link.other.test", None),
    ],
)
def test_a_tracking_host_has_a_role_of_its_own_also_where_it_was_allowed(host: str, role: str | None) -> None:
    names = ["t.example.com", "mt-link.shop.test"]  # as `mailferry certificates` allows them
    rules = HostRules(names, "https://mail.example.com", "https://t.example.com")
    found = rules.match(host)
    assert (found.role if found else None) == role


def test_links_under_the_public_url_close_nothing() -> None:
    rules = HostRules([], "https://mail.example.com", "https://mail.example.com")
    found = rules.match("mail.example.com")
    assert found is not None and found.role == "general"
