"""Which addresses outgoing connections may go to."""

import pytest

from mailferry.net.guard import Guard, is_local

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "100.128.0.1", "172.32.0.1", "198.20.0.1"]
SPECIAL = {
    "10.1.2.3": "private",
    "172.31.255.255": "private",
    "192.168.0.1": "private",
    "fd12::1": "private",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "169.254.169.254": "link-local",
    "fe80::1": "link-local",
    "fe80::1%lo": "link-local",
    "100.64.0.1": "shared (carrier-grade NAT)",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "0.1.2.3": "reserved",
    "198.51.100.7": "documentation",
    "2001:db8::25": "documentation",
    "198.18.0.1": "benchmarking",
    "4000::1": "reserved",
    "100::1": "reserved",  # discard-only, RFC 6666
    "64:ff9b:1::1": "reserved",  # local NAT64, RFC 8215
}
CARRIED = [
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:0a00:0001::1",  # 6to4 of 10.0.0.1
    "2001:0:808:808:0:0:f5ff:fffe",  # Teredo, client 10.0.0.1
    "2001:0:0a00:0001:0:0:f7f7:f7f7",  # Teredo, server 10.0.0.1, client 8.8.8.8
]


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses_are_allowed(ip):
    assert Guard(False, set()).check(ip, 25) is None


@pytest.mark.parametrize(("ip", "word"), SPECIAL.items())
def test_special_addresses_need_allow_private(ip, word):
    reason = Guard(False, set()).check(ip, 25)
    assert reason is not None
    assert f"is a {word} address" in reason
    assert Guard(True, set()).check(ip, 25) is None


@pytest.mark.parametrize("ip", CARRIED)
def test_addresses_that_carry_a_special_one_need_allow_private(ip):
    assert Guard(False, set()).check(ip, 25) is not None
    assert Guard(True, set()).check(ip, 25) is None


@pytest.mark.parametrize(
    "ip", ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:0808:0808::1", "2001:0:808:808:0:0:f7f7:f7f7"]
)
def test_addresses_that_carry_a_public_one_are_allowed(ip):
    assert Guard(False, set()).check(ip, 25) is None


def test_reason_names_what_is_carried():
    assert Guard(False, set()).check("64:ff9b::a00:1", 25) == (
        "64:ff9b::a00:1 carries 10.0.0.1, which is a private address"
    )


@pytest.mark.parametrize("allow_private", [True, False])
def test_own_listeners_are_always_refused(allow_private):
    guard = Guard(allow_private, {("127.0.0.1", 2525), ("8.8.8.8", 25), ("::1", 2526)})
    assert guard.check("127.0.0.1", 2525) is not None
    assert guard.check("8.8.8.8", 25) == "8.8.8.8 port 25 is a listener of our own"
    assert guard.check("::ffff:8.8.8.8", 25) is not None
    assert guard.check("64:ff9b::8.8.8.8", 25) is not None
    assert guard.check("0:0:0:0:0:0:0:1", 2526) is not None
    assert guard.check("8.8.8.8", 26) is None


@pytest.mark.parametrize("ip", ["::1%1.", "::1%lo", "::ffff:127.0.0.1%2", "64:ff9b::7f00:1%1", "2002:7f00:1::%lo"])
def test_a_zone_hides_no_listener(ip):
    own = Guard(True, {("::1", 25), ("127.0.0.1", 25)})
    assert "is a listener of our own" in (own.check(ip, 25) or "")
    wildcard = Guard(True, {("::", 25)}, is_local=lambda ip: ip in ("::1", "127.0.0.1"))
    assert "is a listener of our own" in (wildcard.check(ip, 25) or "")
    assert Guard(False, set()).check(ip, 25) is not None


@pytest.mark.parametrize("ip", ["64:ff9b:1::7f00:1", "::ffff:0:127.0.0.1"])
def test_a_translator_of_our_own_leads_to_no_listener(ip):
    assert "is a listener of our own" in (Guard(True, {("127.0.0.1", 25)}).check(ip, 25) or "")


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_wildcard_listeners_are_every_local_address(wildcard):
    guard = Guard(True, {(wildcard, 2525)}, is_local=lambda ip: ip in ("8.8.8.8", "127.0.0.9", "::1"))
    for ip in ("8.8.8.8", "127.0.0.9", "::1", "::ffff:8.8.8.8"):
        assert guard.check(ip, 2525) is not None
        assert guard.check(ip, 2526) is None
    assert guard.check("9.9.9.9", 2525) is None


@pytest.mark.parametrize("allow_private", [True, False])
@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::0.0.0.0"])
def test_unspecified_address_is_always_refused(ip, allow_private):
    assert "unspecified" in (Guard(allow_private, set()).check(ip, 25) or "")


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f000001", "017700000001", "127.0.0.1 ", "[::1]"])
def test_what_is_no_address_is_refused(text):
    assert Guard(True, set()).check(text, 25) == f"{text} is not an IP address"


def test_local_addresses_are_known_by_the_kernel():
    assert is_local("127.0.0.1")
    assert is_local("127.0.0.200")
    assert not is_local("192.0.2.1")
    assert not is_local("2001:db8::1")
