"""Records of a sending domain: made, published in a name server as they are shown, and verified over a socket."""

import dataclasses
from collections.abc import AsyncIterator

import dns.rdata
import dns.rdatatype
import dns.zone
import pytest
from mailtrap.models.sending_domains import DnsRecord

from mailferry.mail import dkim
from mailferry.net.dns import Resolver
from mailferry.resources.dns_records import (
    Operator,
    Record,
    RecordStatus,
    conclusive,
    export_zone,
    published_selectors,
    records,
    records_anywhere,
    unchecked,
    verified,
    verify,
    zone_line,
)
from mailferry.resources.dns_records.judge import dmarc_parents, dmarc_records, read_dmarc, spf_records, spf_result
from mailferry.resources.dns_records.zone import quoted
from tests.fakes.dns import FakeDNS

HERE = Operator("mail.ferry.example")
ZONED = Operator("mail.ferry.example", "dns.ferry.example")
BOUNCES = "mf7a.shop.example"


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    selector: str
    algorithm: str
    public: str


@dataclasses.dataclass(frozen=True, slots=True)
class Domain:
    id: int
    name: str
    return_path_label: str
    keys: tuple[Key, ...]


def _public(algorithm: dkim.Algorithm) -> str:
    return dkim.generate(algorithm)[1].decode()


SHOP = Domain(
    7,
    "shop.example",
    "mf7a",
    (Key("mf1", "rsa-sha256", _public("rsa-sha256")), Key("mf2", "ed25519-sha256", _public("ed25519-sha256"))),
)
OTHER_KEY = f"v=DKIM1; k=rsa; p={_public('rsa-sha256')}"


@pytest.fixture
async def dns_server() -> AsyncIterator[FakeDNS]:
    async with FakeDNS() as server:
        yield server


def publish(server: FakeDNS, wanted: tuple[Record, ...], *, without: str = "") -> None:
    for record in wanted:
        if record.key != without:
            at = dict(server.zone.get(record.domain, {}))
            server.zone[record.domain] = {**at, record.type: record.value}


def publish_zone(server: FakeDNS, text: str, origin: str) -> None:
    """Put an exported zone file behind the name server, read by dnspython."""
    zone = dns.zone.from_text(text, origin=origin, relativize=False)
    for name, _, rdata in zone.iterate_rdatas():
        rtype = dns.rdatatype.to_text(rdata.rdtype)
        value = b"".join(rdata.strings).decode() if rtype == "TXT" else rdata.to_text()
        key = name.to_text(omit_final_dot=True)
        server.zone[key] = {**server.zone.get(key, {}), rtype: value}


async def ask(server: FakeDNS, wanted: tuple[Record, ...], patience: float = 5.0) -> dict[str, RecordStatus]:
    resolver = Resolver([server.address], clock=lambda: 0, timeout=patience)
    found = await verify(resolver, wanted)
    await resolver.close()
    assert [status.record for status in found] == list(wanted)
    return {status.record.key: status for status in found}


def states(found: dict[str, RecordStatus]) -> dict[str, str]:
    return {key: status.status for key, status in found.items()}


# --- what is wanted ---------------------------------------------------------------------------------------------------


def test_the_form_for_anywhere_needs_nothing_of_the_operator() -> None:
    found = [(r.key, r.type, r.name, r.domain, r.value) for r in records(SHOP, HERE) if not r.key.startswith("dkim")]
    assert found == [
        ("verification", "MX", "mf7a", BOUNCES, "10 mail.ferry.example"),
        ("spf", "TXT", "mf7a", BOUNCES, "v=spf1 a:mail.ferry.example ~all"),
        ("dmarc", "TXT", "_dmarc", "_dmarc.shop.example", "v=DMARC1; p=none"),
        ("link_verification", "CNAME", "mt-link", "mt-link.shop.example", "mail.ferry.example"),
    ]
    keys = {r.key: r for r in records(SHOP, HERE) if r.key.startswith("dkim")}
    assert keys["dkim1"].domain == "mf1._domainkey.shop.example"
    assert keys["dkim1"].value == f"v=DKIM1; k=rsa; p={SHOP.keys[0].public}"
    assert keys["dkim2"].name == "mf2._domainkey"
    assert keys["dkim2"].value == f"v=DKIM1; k=ed25519; p={SHOP.keys[1].public}"


def test_in_a_zone_everything_of_ours_is_a_cname_in_mailtraps_shape() -> None:
    assert [(r.key, r.type, r.name, r.value) for r in records(SHOP, ZONED)] == [
        ("verification", "CNAME", "mf7a", "smtp.dns.ferry.example"),
        ("dkim1", "CNAME", "mf1._domainkey", "mf1.7.dkim.smtp.dns.ferry.example"),
        ("dkim2", "CNAME", "mf2._domainkey", "mf2.7.dkim.smtp.dns.ferry.example"),
        ("dmarc", "TXT", "_dmarc", "v=DMARC1; p=none"),
        ("link_verification", "CNAME", "mt-link", "t.dns.ferry.example"),
    ]


def test_it_does_not_matter_how_the_settings_spell_a_name() -> None:
    assert Operator("Mail.Ferry.Example.", "DNS.ferry.example.") == ZONED


def test_only_the_link_record_is_optional() -> None:
    for operator in (HERE, ZONED):
        assert [r.key for r in records(SHOP, operator) if not r.required] == ["link_verification"]


def test_two_domains_never_share_a_cname_target() -> None:
    twin = dataclasses.replace(SHOP, id=8)
    targets = [{r.value for r in records(d, ZONED) if r.key.startswith("dkim")} for d in (SHOP, twin)]
    assert targets[0].isdisjoint(targets[1])


def test_mailtraps_sdk_reads_each_record() -> None:
    for status in unchecked(records(SHOP, HERE)) + unchecked(records(SHOP, ZONED)):
        r = status.record
        DnsRecord(key=r.key, domain=r.domain, type=r.type, value=r.value, status=status.status, name=r.name)


# --- zone files -------------------------------------------------------------------------------------------------------


def test_a_line_of_a_zone_file_carries_the_same_value_in_chunks() -> None:
    for record in (*records(SHOP, HERE), *records(SHOP, ZONED)):
        name, _ttl, _in, rtype, rdata = zone_line(record).split(" ", 4)
        parsed = dns.rdata.from_text("IN", rtype, rdata)
        assert name == f"{record.domain}."
        if rtype == "TXT":
            assert b"".join(parsed.strings).decode() == record.value
            assert all(len(string) <= 255 for string in parsed.strings)
        else:
            assert parsed.to_text() == f"{record.value}."
    rsa = next(r for r in records(SHOP, HERE) if r.key == "dkim1")
    assert zone_line(rsa).count('" "') == 1


@pytest.mark.parametrize("text", ["", 'say "hi" \\ now', "x" * 255, "x" * 256, "é" * 300, "tab\tand\x7f"])
def test_quoting_is_what_dnspython_reads_back(text: str) -> None:
    assert b"".join(dns.rdata.from_text("IN", "TXT", quoted(text)).strings).decode() == text


@pytest.mark.parametrize(
    "hostname", ["mail.ferry.example", "smtp.dns.ferry.example", "t.dns.ferry.example", "dns.ferry.example"]
)
def test_the_exported_zone_is_read_by_dnspython_wherever_the_hostname_lies(hostname: str) -> None:
    operator = Operator(hostname, "dns.ferry.example")
    text = export_zone(operator, [SHOP], serial=1_790_000_000, addresses=["192.0.2.7", "2001:db8::7"])
    zone = dns.zone.from_text(text, origin="dns.ferry.example", relativize=False)
    assert zone.get_soa().serial == 1_790_000_000
    has_address = (
        zone.get_rdataset(f"{hostname}.", "A") is not None if hostname.endswith("dns.ferry.example") else False
    )
    assert has_address == hostname.endswith("dns.ferry.example")
    assert zone.get_rdataset("smtp.dns.ferry.example.", "MX")[0].exchange.to_text() == f"{hostname}."


def test_the_exported_zone_takes_name_servers() -> None:
    text = export_zone(ZONED, [], serial=1, nameservers=["ns1.host.example", "ns2.host.example"])
    zone = dns.zone.from_text(text, origin="dns.ferry.example", relativize=False)
    targets = {rdata.target.to_text() for rdata in zone.get_rdataset("dns.ferry.example.", "NS")}
    assert targets == {"ns1.host.example.", "ns2.host.example."}
    assert zone.get_soa().mname.to_text() == "ns1.host.example."


# --- verifying: all right ---------------------------------------------------------------------------------------------


async def test_what_is_shown_passes_when_it_is_published(dns_server: FakeDNS) -> None:
    wanted = records(SHOP, HERE)
    publish(dns_server, wanted)
    found = await ask(dns_server, wanted)
    assert set(states(found).values()) == {"pass"}
    assert verified(list(found.values()))
    assert conclusive(list(found.values()))
    assert published_selectors(list(found.values())) == {"mf1", "mf2"}


async def test_cnames_pass_with_the_exported_zone_behind_them(dns_server: FakeDNS) -> None:
    wanted = records(SHOP, ZONED)
    publish(dns_server, wanted)
    publish_zone(dns_server, export_zone(ZONED, [SHOP], serial=1), "dns.ferry.example")
    found = await ask(dns_server, wanted)
    assert set(states(found).values()) == {"pass"}
    assert verified(list(found.values()))
    assert "mf1.7.dkim.smtp.dns.ferry.example" in found["dkim1"].sentence


async def test_either_form_is_taken_whichever_is_shown(dns_server: FakeDNS) -> None:
    publish(dns_server, records_anywhere(SHOP, ZONED))
    assert verified(list((await ask(dns_server, records(SHOP, ZONED))).values()))
    dns_server.zone.clear()
    publish(dns_server, records(SHOP, ZONED))
    publish_zone(dns_server, export_zone(ZONED, [SHOP], serial=1), "dns.ferry.example")
    assert verified(list((await ask(dns_server, records_anywhere(SHOP, ZONED))).values()))


async def test_an_operator_may_put_other_hosts_behind_the_alias(dns_server: FakeDNS) -> None:
    publish(dns_server, records(SHOP, ZONED))
    publish_zone(dns_server, export_zone(ZONED, [SHOP], serial=1), "dns.ferry.example")
    dns_server.zone["smtp.dns.ferry.example"] = {
        "MX": ["10 in1.ferry.example", "10 in2.ferry.example"],
        "TXT": "v=spf1 ip4:192.0.2.0/24 ~all",
    }
    assert states(await ask(dns_server, records(SHOP, ZONED)))["verification"] == "pass"


async def test_missing_link_record_does_not_stop_verification(dns_server: FakeDNS) -> None:
    wanted = records(SHOP, HERE)
    publish(dns_server, wanted, without="link_verification")
    found = await ask(dns_server, wanted)
    assert found["link_verification"].status == "missing"
    assert verified(list(found.values()))


async def test_what_was_just_published_is_seen_in_spite_of_the_cache(dns_server: FakeDNS) -> None:
    wanted = records(SHOP, HERE)
    resolver = Resolver([dns_server.address], clock=lambda: 0)
    assert not verified(await verify(resolver, wanted))
    publish(dns_server, wanted)
    assert verified(await verify(resolver, wanted))
    await resolver.close()


# --- verifying: what is wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", [HERE, ZONED])
async def test_an_empty_zone_is_missing_everything_and_says_what_to_publish(
    dns_server: FakeDNS, operator: Operator
) -> None:
    wanted = records(SHOP, operator)
    found = await ask(dns_server, wanted)
    assert set(states(found).values()) == {"missing"}
    assert not verified(list(found.values()))
    for record in wanted:
        sentence = found[record.key].sentence
        assert record.domain in sentence
        assert f"Publish {record.type} " in sentence


async def test_a_silent_name_server_says_nothing_about_the_records(dns_server: FakeDNS) -> None:
    wanted = records(SHOP, HERE)
    publish(dns_server, wanted)
    for record in wanted:
        dns_server.trouble[record.domain] = "servfail"
    dns_server.trouble["mf1._domainkey.shop.example"] = "timeout"
    found = await ask(dns_server, wanted, patience=0.2)
    assert set(states(found).values()) == {"network_error"}
    assert not verified(list(found.values()))
    assert not conclusive(list(found.values()))
    assert published_selectors(list(found.values()), before={"mf1"}) == {"mf1"}
    assert "in time" in found["dkim1"].sentence


@pytest.mark.parametrize(
    ("mx", "status"),
    [
        ("10 mx.elsewhere.example", "fail"),
        ("0 .", "fail"),
        (["10 mail.ferry.example", "20 backup.ferry.example"], "pass"),
        (["5 mx.elsewhere.example", "10 mail.ferry.example"], "softfail"),
        (["10 mx.elsewhere.example", "10 mail.ferry.example"], "softfail"),
        ("0 MAIL.Ferry.Example", "pass"),
    ],
)
async def test_the_return_paths_mx(dns_server: FakeDNS, mx: str | list[str], status: str) -> None:
    wanted = records(SHOP, HERE)
    publish(dns_server, wanted)
    dns_server.zone[BOUNCES] = {**dns_server.zone[BOUNCES], "MX": mx}
    found = await ask(dns_server, wanted)
    assert found["verification"].status == status
    if status != "pass":
        assert "MX 10 mail.ferry.example" in found["verification"].sentence


@pytest.mark.parametrize(
    ("texts", "status"),
    [
        (["v=spf1 -all"], "fail"),
        (["v=spf1 include:_spf.elsewhere.example ~all"], "softfail"),
        (["v=spf1 +all"], "softfail"),
        (["v=spf1 ~all a:mail.ferry.example"], "softfail"),
        (["v=spf1 a:mail.ferry.example -all", "v=spf1 ~all"], "fail"),
        (["some-site-verification=1"], "missing"),
        (["v=spf10 a:mail.ferry.example"], "missing"),
        (["some-site-verification=1", "v=spf1 mx -all"], "pass"),
        (["v=spf1 ip4:192.0.2.0/24 -all"], "fail"),
        (["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"], "pass"),
    ],
)
async def test_the_return_paths_spf(dns_server: FakeDNS, texts: list[str], status: str) -> None:
    wanted = records(SHOP, HERE)
    publish(dns_server, wanted)
    dns_server.zone[BOUNCES] = {**dns_server.zone[BOUNCES], "TXT": texts}
    dns_server.zone["mail.ferry.example"] = {"A": "192.0.2.7", "AAAA": "2001:db8::7"}
    found = await ask(dns_server, wanted)
    assert found["spf"].status == status
    if status != "pass":
        assert "a:mail.ferry.example" in found["spf"].sentence


KEY_TEXT = f"v=DKIM1; k=rsa; p={SHOP.keys[0].public}"


@pytest.mark.parametrize(
    ("texts", "status", "says"),
    [
        ([KEY_TEXT.replace("; ", ";  ").replace("k=rsa", "t=s; k=rsa") + ";"], "pass", "right key"),
        ([OTHER_KEY], "fail", "another key"),
        (["v=DKIM1; k=rsa; p="], "fail", "revoked"),
        (["v=DKIM1; k=ed25519; p=" + SHOP.keys[1].public], "fail", "ed25519-sha256 instead of rsa-sha256"),
        (["v=spf1 -all"], "fail", "no DKIM key"),
        ([KEY_TEXT[:255]], "fail", f"only the first {255 - len('v=DKIM1; k=rsa; p=')} of"),
        ([KEY_TEXT.replace("k=rsa", "k=rsa; h=sha1")], "fail", "h= or s="),
        ([KEY_TEXT, OTHER_KEY], "fail", "2 TXT records"),
    ],
)
async def test_a_published_key(dns_server: FakeDNS, texts: list[str], status: str, says: str) -> None:
    wanted = records(SHOP, HERE)
    publish(dns_server, wanted)
    dns_server.zone["mf1._domainkey.shop.example"] = {"TXT": texts}
    found = await ask(dns_server, wanted)
    assert found["dkim1"].status == status
    assert says in found["dkim1"].sentence
    assert published_selectors(list(found.values())) == ({"mf1", "mf2"} if status == "pass" else {"mf2"})


async def test_cnames_to_a_zone_that_was_not_published_blame_the_operator(dns_server: FakeDNS) -> None:
    wanted = records(SHOP, ZONED)
    publish(dns_server, wanted)
    found = await ask(dns_server, wanted)
    assert states(found)["verification"] == states(found)["dkim1"] == "fail"
    assert "mailferry dns export" in found["verification"].sentence
    assert "mf1.7.dkim.smtp.dns.ferry.example" in found["dkim1"].sentence


@pytest.mark.parametrize(
    ("at", "status", "says"),
    [
        ({"CNAME": "smtp.elsewhere.example"}, "fail", "smtp.elsewhere.example"),
        ({"MX": "10 mail.ferry.example"}, "fail", "no TXT record"),
        ({"TXT": "v=spf1 -all"}, "fail", "MX"),
        ({"A": "192.0.2.1"}, "missing", "CNAME smtp.dns.ferry.example"),
    ],
)
async def test_a_return_path_that_is_not_the_alias(
    dns_server: FakeDNS, at: dict[str, str], status: str, says: str
) -> None:
    wanted = records(SHOP, ZONED)
    publish(dns_server, wanted)
    dns_server.zone[BOUNCES] = at
    found = await ask(dns_server, wanted)
    assert found["verification"].status == status
    assert says in found["verification"].sentence


async def test_a_link_record_that_points_elsewhere(dns_server: FakeDNS) -> None:
    wanted = records(SHOP, ZONED)
    dns_server.zone["mt-link.shop.example"] = {"CNAME": "t.mailtrap.live"}
    found = await ask(dns_server, wanted)
    assert found["link_verification"].status == "fail"
    assert "t.mailtrap.live" in found["link_verification"].sentence
    assert "t.dns.ferry.example" in found["link_verification"].sentence


# --- DMARC ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "policy"),
    [
        ("v=DMARC1; p=none", "none"),
        ("v=DMARC1;p=reject;pct=100;rf=afrf", "reject"),
        ("v = DMARC1 ; p = Quarantine ; t=y ; np=reject", "quarantine"),
        ("v=DMARC1; rua=mailto:reports@shop.example; p=reject", "reject"),
        ("v=DMARC1; rua=mailto:reports@shop.example!10m", "none"),
        ("v=DMARC1; p=rejct; rua=mailto:reports@shop.example", "none"),
        ("v=DMARC1; p=reject; sp=nothing; rua=https://reports.example/", "none"),
    ],
)
def test_a_dmarc_record_that_holds(record: str, policy: str) -> None:
    assert dmarc_records([record]) == [record]
    found = read_dmarc(record)
    assert (found.policy, found.problem) == (policy, "")


@pytest.mark.parametrize(
    "record",
    [
        "v=DMARC1",
        "v=DMARC1; p=",
        "v=DMARC1; p=rejct",
        "v=DMARC1; p=none; sp=nothing",
        "v=DMARC1; rua=reports@shop.example",
        "v=DMARC1; rua=mailto:reports",
    ],
)
def test_a_dmarc_record_that_receivers_ignore(record: str) -> None:
    assert read_dmarc(record).problem


@pytest.mark.parametrize("record", ["v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC12; p=none", "v=DMARC1 p=none", ""])
def test_what_is_no_dmarc_record_at_all(record: str) -> None:
    assert dmarc_records([record]) == []


def test_the_walk_up_the_tree_is_that_of_the_rfc() -> None:
    assert dmarc_parents("a.b.c.d.e.f.g.h.i.j.mail.example.com") == [
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
    ]
    assert dmarc_parents("mail.example.com") == ["example.com"]
    assert dmarc_parents("example.com") == []


DEEP = Domain(9, "news.eu.shop.example", "mf9a", ())


@pytest.mark.parametrize(
    ("zone", "status", "says"),
    [
        ({"_dmarc.news.eu.shop.example": ["v=DMARC1; p=quarantine"]}, "pass", "p=quarantine"),
        ({"_dmarc.shop.example": ["v=DMARC1; p=reject"]}, "pass", "policy of shop.example: p=reject"),
        (
            {"_dmarc.shop.example": ["v=DMARC1; p=reject"], "_dmarc.eu.shop.example": ["v=DMARC1; p=none"]},
            "pass",
            "policy of shop.example",
        ),
        (
            {"_dmarc.shop.example": ["v=DMARC1; p=reject"], "_dmarc.eu.shop.example": ["v=DMARC1; p=none; psd=n"]},
            "pass",
            "policy of eu.shop.example",
        ),
        ({"_dmarc.shop.example": ["v=DMARC1; p=reject; psd=y"]}, "missing", "Publish"),
        ({"_dmarc.shop.example": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}, "missing", "Publish"),
        ({"_dmarc.shop.example": ["v=DMARC1; p=nix"]}, "missing", "Publish"),
        ({"_dmarc.news.eu.shop.example": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, "fail", "2 DMARC records"),
        ({"_dmarc.news.eu.shop.example": ["v=DMARC1; p=nix"]}, "fail", "p=nix"),
        ({"_dmarc.news.eu.shop.example": ["v=DMARC1; rua=mailto:a@b.example"]}, "pass", "counts as p=none"),
        ({"_dmarc.news.eu.shop.example": ["v=spf1 -all"]}, "fail", "no DMARC record"),
    ],
)
async def test_the_policy_that_covers_a_domain(
    dns_server: FakeDNS, zone: dict[str, list[str]], status: str, says: str
) -> None:
    dns_server.zone = {name: {"TXT": texts} for name, texts in zone.items()}
    found = await ask(dns_server, records(DEEP, HERE))
    assert found["dmarc"].status == status
    assert says in found["dmarc"].sentence


async def test_a_parent_that_does_not_answer_leaves_the_policy_open(dns_server: FakeDNS) -> None:
    dns_server.trouble["_dmarc.shop.example"] = "servfail"
    assert states(await ask(dns_server, records(DEEP, HERE)))["dmarc"] == "network_error"


# --- SPF, the pure part -----------------------------------------------------------------------------------------------


def test_spf_terms() -> None:
    host = "mail.ferry.example"
    assert spf_records(["v=spf1", "V=SPF1 -all", "v=spf1-all", "x v=spf1 -all"]) == ["v=spf1", "V=SPF1 -all"]
    assert spf_result("v=spf1 a:Mail.Ferry.Example. -all", host) == "pass"
    assert spf_result("v=spf1 +a:mail.ferry.example/24 -all", host) == "pass"
    assert spf_result("v=spf1 -a:mail.ferry.example ~all", host) == "softfail"
    assert spf_result("v=spf1 a -all", host) == "fail"
    assert spf_result("v=spf1 mx:mail.ferry.example", host, mail_hosts=[host]) == "neutral"
    assert spf_result("v=spf1 ip4:nonsense ?all", host, addresses=["192.0.2.1"]) == "neutral"
    assert spf_result("v=spf1 ip4:192.0.2.1 -all", host, addresses=["192.0.2.1", "2001:db8::1"]) == "fail"
    assert spf_result("v=spf1 ip4:192.0.2.1 -all", host, addresses=["192.0.2.1"]) == "pass"
    assert spf_result("v=spf1 %% )( redirect=_spf.elsewhere.example", host) == "neutral"
