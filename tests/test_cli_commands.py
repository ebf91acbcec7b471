"""The commands as an operator meets them: what they print, what they say when something is wrong, how they end."""

import asyncio
import json
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from mailferry.cli import app as cli
from mailferry.net.authority import issued_hosts
from mailferry.store.lock import DataLock
from tests.commands import ask_later, first_run, run_command
from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.peers.process import free_port
from tests.server import DOMAIN, Mailferry, add_domain, message, running

DEMO = "demo.mailferry.test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailferry]:
    """A server whose name server is away. Nothing is sent through it."""
    made = Mailferry(tmp_path_factory.mktemp("cli") / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    made.start()
    yield made
    made.stop()


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, which saves half a second: (exit status, standard output, standard error)."""

    def call(data: Path, *arguments: str, where: bool = True, **settings: str) -> tuple[int, str, str]:
        for name, value in settings.items():
            monkeypatch.setenv(f"MAILFERRY_{name.upper()}", value)
        capsys.readouterr()
        status = cli.run([*arguments, *(["--data", str(data)] if where else [])])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


# --- help -------------------------------------------------------------------------------------------------------------


def every_command(app: App, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name in app:
        if not name.startswith("-"):
            yield from every_command(app[name], (*words, name))


COMMANDS = sorted(set(every_command(cli.app)))


def test_all_commands_are_here() -> None:
    told = {" ".join(words) for words in COMMANDS}
    for noun, verbs in (
        ("domains", "add list records verify approve suspend remove"),
        ("dns", "export"),
        ("messages", "list show export raw"),
        ("tokens", "create list revoke"),
        ("keys", "create list disable enable revoke smtp-password"),
        ("inboxes", "list add show messages share links unshare"),
        ("projects", "list add"),
        ("users", "list invite role remove"),
        ("invitations", "list resend revoke"),
        ("accounts", "list create"),
        ("organizations", "list create add-account"),
    ):
        assert {f"{noun} {verb}" for verb in verbs.split()} <= told
    assert {"serve", "credentials", "certificates", "config", "queue"} <= told


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = run(Path(), *words, "--help", where=False)
    assert (status, err) == (0, "")
    lines = [text.strip() for text in out.splitlines() if text.strip()]
    assert lines[0].startswith(f"Usage: {' '.join(('mailferry', *words))}")
    assert lines[1].endswith((".", ".`")) and lines[1][0].isupper()
    for text in lines:
        if text.startswith("│ "):
            name, _, sentence = text.strip("│* ").partition("  ")
            # What cyclopts puts behind it in brackets is no part of our sentence.
            assert re.sub(r"(\s*\[[^\]]*\])+$", "", sentence.strip()).endswith(".") or name == "--version", text
    assert "default: False" not in out and 'default: ""' not in out and "Where" not in out and "ARGS" not in out


# --- what is wrong ----------------------------------------------------------------------------------------------------

NO_SUCH = "00000000-0000-7000-8000-000000000000"
MISTAKES = [
    (["nonsense"], 2, 'Unknown command "nonsense". Available commands: '),
    (["domains", "nonsense"], 2, 'Unknown command "nonsense". Available commands: add, list, records, '),
    (["domians", "list"], 2, 'Unknown command "domians". Did you mean "domains"?'),
    (["domains", "verfy", "a.test"], 2, 'Unknown command "verfy". Did you mean "verify"?'),
    (["queue", "--acount", "1"], 2, "Unknown option: --acount. Did you mean --account?"),
    (["domains", "add"], 2, 'Command "domains add" parameter DOMAIN requires an argument. See: mailferry domains add'),
    (
        ["domains", "verify", "a.test", "b.test"],
        2,
        "There is nothing that b.test could mean here. See: mailferry domains",
    ),
    (["queue", "x y"], 2, "There is nothing that 'x y' could mean here."),
    (["queue", "--nonsense"], 2, "Unknown option: --nonsense"),
    (["queue", "--limit", "many"], 2, 'Invalid value for --limit: unable to convert "many" into int'),
    (["queue", "--limit", "0"], 2, 'Invalid value "0" for --limit. Must be >= 1'),
    (["messages", "list", "--limit", "-1"], 2, 'Invalid value "-1" for --limit. Must be >= 1'),
    (["messages", "list", "--state", "lost"], 2, 'Choose from: "queued", "held", "sent", "delivered", "bounced", '),
    (
        ["messages", "show", NO_SUCH],
        1,
        f"there is no message or recipient {NO_SUCH}; mailferry messages list shows them",
    ),
    (["domains", "add", "a b"], 1, "'a b' is no domain name: "),
    (
        ["domains", "add", "localhost"],
        1,
        "localhost cannot be added: a sending domain has two labels or more, such as ",
    ),
    (
        ["domains", "add", "COM."],
        1,
        "com cannot be added: a sending domain has two labels or more, such as example.com",
    ),
    (["domains", "records", "localhost"], 1, "localhost is no sending domain here; "),
    (["tokens", "create", " "], 1, "a token's name is one line of 1 to 255 characters"),
    (
        ["tokens", "create", "x", "--access", "root"],
        1,
        "'root' is no access: RESOURCE=LEVEL with one of the levels admin",
    ),
    (["tokens", "create", "x", "--access", "domain:a.test=admin"], 1, "the account has no 'domain:a.test': access is "),
    (["tokens", "create", "x", "--account", "7"], 1, "there is no account 7; there are: 1"),
    (["tokens", "revoke", "99"], 1, "there is no token 99; mailferry tokens list shows them"),
    (["tokens", "revoke", "Shop"], 2, 'Invalid value for TOKEN: unable to convert "Shop" into int'),
    (["projects", "add", "x"], 1, "a project's name has 2 to 100 characters"),
    (["inboxes", "add", "Staging", "--project", "99"], 1, "account 1 has no project 99"),
    (["inboxes", "share", "1", "--message", "99"], 1, "inbox 1 holds no message 99"),
    (["inboxes", "unshare", "1", "9"], 1, "inbox 1 has no share link 9; mailferry inboxes links 1 shows them"),
    (["inboxes", "messages", "99"], 1, "there is no inbox 99; mailferry inboxes list shows them"),
    (["keys", "create", "two words"], 1, "a key's name is a user's as IAM has them: 1 to 64 letters, digits and "),
    (["keys", "revoke", "MFAKNOBODY"], 1, "there is no key MFAKNOBODY; mailferry keys list shows them"),
    (["keys", "smtp-password", "MFAKNOBODY", "--region", "mars-1"], 1, "'mars-1' is no region of AWS; there are: af-"),
    (["messages", "list", "--account", "7"], 1, "there is no account 7; there are: 1"),
    (["queue", "--account", "7"], 1, "there is no account 7; there are: 1"),
    (["domains", "add", f"{'x' * 64}.test"], 1, " is no domain name: "),
    (
        ["domains", "records", "unknown.test"],
        1,
        "unknown.test is no sending domain here; mailferry domains list shows them",
    ),
    (["domains", "verify", "unknown.test"], 1, "unknown.test is no sending domain here; "),
    (["domains", "approve", "unknown.test"], 1, "unknown.test is no sending domain here; "),
    (["domains", "suspend", "unknown.test"], 1, "unknown.test is no sending domain here; "),
    (["domains", "remove", "unknown.test"], 1, "unknown.test is no sending domain here; "),
    (["domains", "verify", DEMO], 1, f"{DEMO} is the demo domain: it is in no DNS"),
    (["domains", "approve", DEMO], 1, f"{DEMO} is the demo domain and has no review"),
    (["domains", "suspend", DEMO], 1, f"{DEMO} is the demo domain and has no review; remove it when"),
    (["dns", "export"], 1, 'no zone is set; say [dns] zone = "mail.example.com" in the settings'),
    (["certificates", "a b"], 1, "'a b' is no host name (a name, *.NAME or an IP address, without port or scheme)"),
    (["certificates", "https://mail.example.test"], 1, "'https://mail.example.test' is no host name"),
    (["serve", "--roles", "cook"], 1, "[server] roles from command line: 'cook' is none of api, smtp, "),
    (["config", "--config", "/nowhere.toml"], 1, "/nowhere.toml cannot be read: No such file or directory"),
]


@pytest.mark.parametrize(("arguments", "status", "text"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_line_that_says_what_would_be_right(
    server: Mailferry, run: Run, arguments: list[str], status: int, text: str
) -> None:
    ended, out, err = run(server.data, *arguments)
    assert (ended, out) == (status, "")
    assert err.startswith("mailferry: ") and text in err and err.count("\n") == 1


def test_a_wrong_setting_is_told_by_every_command(server: Mailferry, run: Run) -> None:
    for arguments in (["queue"], ["config"], ["credentials", "--json"], ["certificates"], ["serve"]):
        ended, out, err = run(server.data, *arguments, http_hosts="https://a.test", server_public_url="nonsense")
        assert (ended, out) == (1, "")
        assert err.startswith("mailferry: [server] public_url from MAILFERRY_SERVER_PUBLIC_URL: 'nonsense' is no URL")
    wrong = {
        "server_public_url": "https://a..b",
        "http_hosts": "a.test:80",
        "dns_zone": "a b",
        "server_hostname": "a b",
    }
    for name, value in wrong.items():
        ended, _, err = run(server.data, "queue", **(dict.fromkeys(wrong, "") | {name: value}))
        section, _, key = name.partition("_")
        assert ended == 1 and err.startswith(f"mailferry: [{section}] {key} from MAILFERRY_{name.upper()}: ")
        assert "is no host name" in err


OTHERS = (["credentials"], ["certificates"], ["certificates", "a.test", "--json"], ["tokens", "create", "x"])


def test_a_folder_that_holds_no_mailferry_is_left_empty(tmp_path: Path, run: Run) -> None:
    for data in (tmp_path, tmp_path / "none", tmp_path / "none" / "below"):
        for arguments in (["queue"], ["messages", "list", "--json"], ["domains", "add", "a.test"], *OTHERS):
            ended, out, err = run(data, *arguments)
            assert (ended, out) == (1, "")
            assert err == f"mailferry: there is no Mailferry in {data}; serve makes it, --data names another folder\n"
    assert list(tmp_path.iterdir()) == []


# --- rows and none ----------------------------------------------------------------------------------------------------


def test_nothing_is_said_plainly_and_as_json(server: Mailferry, run: Run) -> None:
    assert run(server.data, "messages", "list") == (0, "No messages.\n", "")
    assert run(server.data, "messages", "list", "--state", "bounced", "--to", "x", "--from", "y")[1] == "No messages.\n"
    assert json.loads(run(server.data, "messages", "list", "--json")[1]) == []
    assert run(server.data, "queue") == (0, "Nothing waits.\n", "")
    assert json.loads(run(server.data, "queue", "--json")[1]) == {"waiting": [], "oldest": []}


def test_the_demo_domain_is_listed(server: Mailferry, run: Run) -> None:
    status, out, _ = run(server.data, "domains", "list")
    assert status == 0 and out.splitlines()[0].split() == ["Domain", "State", "DNS", "right"]
    assert out.splitlines()[1].split() == [DEMO, "demo", "not", "needed", "sends", "to", "its", "simulator", "only"]
    status, out, _ = run(server.data, "domains", "review", DEMO)
    assert status == 0 and "DNS right  not needed\n" in out
    (shown,) = json.loads(run(server.data, "domains", "list", "--json")[1])
    assert (shown["domain"], shown["state"], len(shown["keys"])) == (DEMO, "demo", 2)
    for verb in ("records", "add"):
        status, out, _ = run(server.data, "domains", verb, DEMO)
        assert status == 0 and out.startswith(f"{DEMO} is the demo domain: it needs no DNS records, ")
    assert json.loads(run(server.data, "domains", "records", DEMO, "--json")[1]) == []


def test_a_name_server_that_is_away_is_no_verdict(server: Mailferry, run: Run) -> None:
    status, out, _ = run(server.data, "domains", "add", "Away.TEST.", "--json")
    added = json.loads(out)
    assert (status, added["domain"], added["added"], added["state"]) == (0, "away.test", True, "unverified_dns")
    assert json.loads(run(server.data, "domains", "add", "away.test", "--json")[1])["added"] is False
    status, out, _ = run(server.data, "domains", "verify", "away.test")
    assert status == 1
    assert out.splitlines()[0].split()[0] == "network_error" and "Wanted: v=DMARC1; p=none" in out
    assert out.endswith("verify again (DNS may need some minutes)\n")
    status, out, err = run(server.data, "domains", "approve", "away.test")
    assert status == 1 and "was never verified; publish its records, then: mailferry domains verify away.test" in err
    assert run(server.data, "domains", "remove", "away.test") == (0, "away.test is removed.\n", "")


async def test_a_domain_from_its_first_day_to_its_suspension(tmp_path: Path, run: Run) -> None:
    zone: dict[str, Any] = {"mail.mailferry.test": {"A": "127.0.0.1"}}
    zone |= {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}
    async with FakeDNS(zone) as dns, FakeMX() as mx, running(tmp_path, dns, smtp_port=mx.port) as server:

        async def say(*arguments: str) -> tuple[int, str]:
            status, out, err = await asyncio.to_thread(run, server.data, *arguments)
            assert err == ""
            return status, out

        async def send(to: str, subject: str = "Hello") -> None:
            body = message(to, sender="app@own.test", subject=subject)
            status, _ = await asyncio.to_thread(server.post, "/api/send", body, first_run(server)["api_token"])
            assert status == 200

        status, out = await say("domains", "add", "own.test")
        assert status == 0 and out.startswith("own.test is added. Publish these records:\n")
        records = json.loads((await say("domains", "records", "own.test", "--json"))[1])
        for record in records:
            # What somebody copies stands in one piece, however long it is.
            assert f"\n{record['type']:<7}{record['domain']}\n       {record['value']}\n" in out
        assert out.rstrip().endswith(f"domains verify own.test --data {server.data}")

        status, out = await say("domains", "verify", "own.test")
        assert status == 1 and out.count("missing ") == 6
        for record in records:
            dns.zone[record["domain"]] = {**dns.zone.get(record["domain"], {}), record["type"]: record["value"]}
        status, out = await say("domains", "verify", "own.test")
        assert status == 0 and out.count("pass ") == 6 and "Wanted" not in out
        assert "own.test: verified, and under review: it sends a limited number an hour until: " in out
        assert out.rstrip().endswith(f"domains approve own.test --data {server.data}")

        assert await say("domains", "suspend", "own.test") == (
            0,
            "own.test is suspended; its mail is accepted and held.\n",
        )
        await send("a@dest.test", subject="One\x1b[2J two")
        status, out = await say("queue")
        assert "a@dest.test" in out and out.endswith("\n\n1 recipient held: domain_suspended\n")
        status, out = await say("messages", "list", "--state", "held")
        (shown,) = json.loads((await say("messages", "list", "--json"))[1])
        assert f"{shown['id']} " in out and "\x1b" not in out and "One\N{REPLACEMENT CHARACTER}[2J two" in out

        status, out = await say("domains", "approve", "own.test")
        assert out == "own.test is approved; 1 held recipient may leave now.\n"
        await mx.received(1)
        assert (await say("domains", "verify", "own.test"))[1].endswith("own.test: verified, compliant\n")
        while (await ask_later(server, "queue.list"))["oldest"]:
            await asyncio.sleep(0.05)
        for identity in (shown["id"], shown["message_id"]):
            status, out = await say("messages", "show", identity)
            kinds = [row.split()[2] for row in out.splitlines() if row.startswith("20")]
            assert kinds == ["accepted", "suspension", "delivery"]
            assert "250 2.0.0 taken" in out and f"a@dest.test ({shown['id']})" in out


async def test_the_zone_holds_what_the_cnames_point_at(tmp_path: Path, run: Run) -> None:
    async with (
        FakeDNS({"mail.mailferry.test": {"A": "127.0.0.1"}}) as dns,
        running(tmp_path, dns, dns__zone="ferry.test") as server,
    ):
        await add_domain(server, dns)
        status, out, _ = await asyncio.to_thread(run, server.data, "dns", "export")
        assert status == 0 and "$ORIGIN ferry.test.\n" in out
        _, told, _ = await asyncio.to_thread(run, server.data, "dns", "export", "--json")
        assert "$ORIGIN ferry.test.\n" in json.loads(told)["zone"]
        status, shown, _ = await asyncio.to_thread(run, server.data, "domains", "records", DOMAIN)
        assert "\nIn your zone ([dns] zone):\n" in shown and "\nOr, without the zone:\n" in shown
        records = await ask_later(server, "domains.records", domain=DOMAIN)
        targets = {each["value"] for each in records if each["type"] == "CNAME" and each["form"] == "zone"}
        assert len(targets) == 4 and all(f"{target}. " in out for target in targets)


def test_what_waits_says_when_it_is_tried_next(tmp_path: Path, run: Run) -> None:
    later = {"dns.nameservers": f"127.0.0.1:{free_port()}", "delivery.retry_seconds": "3600"}
    server = Mailferry(tmp_path / "data", later)
    server.start()
    try:
        body = message("softbounce@simulator.demo.mailferry.test", sender=f"hello@{DEMO}")
        status, answer = server.post("/api/send", body, first_run(server)["api_token"])
        assert status == 200
        (identity,) = answer["message_ids"]
        waits: dict[str, Any] = {}
        while not waits.get("next_attempt") or "tried once" not in waits["why"]:
            waits = server.ask("messages.show", message=identity)["recipients"][0]["waits"]
        out = run(server.data, "messages", "show", identity)[1]
        facts = {name: value for name, _, value in (text.partition("  ") for text in out.splitlines())}
        assert facts["next attempt (UTC)"].strip() == waits["next_attempt"][:19].replace("T", " ")
        assert facts["given up at (UTC)"].strip() == waits["until"][:19].replace("T", " ")
        assert facts["waits because"].strip() == "tried once, last heard: 452 mailbox full (simulated)"
        assert waits["next_attempt"] == server.ask("queue.list")["oldest"][0]["next_attempt"]
        body = message("success@simulator.demo.mailferry.test", sender=f"hello@{DEMO}")
        (gone,) = server.post("/api/send", body, first_run(server)["api_token"])[1]["message_ids"]
        while (story := server.ask("messages.show", message=gone)["recipients"][0])["state"] != "delivered":
            pass
        assert story["waits"] is None and "next attempt" not in run(server.data, "messages", "show", gone)[1]
        body = message("suppressionlist@simulator.demo.mailferry.test", sender=f"hello@{DEMO}")
        (refused,) = server.post("/api/send", body, first_run(server)["api_token"])[1]["message_ids"]
        while server.ask("messages.show", message=refused)["recipients"][0]["state"] != "rejected":
            pass
        (told,) = [text for text in run(server.data, "messages", "show", refused)[1].splitlines() if " reject " in text]
        assert told.count("Recipient in suppression list") == 1
    finally:
        server.end()


# --- with a server and without ----------------------------------------------------------------------------------------


def test_commands_work_beside_a_server_without_one_and_after_one_that_was_killed(tmp_path: Path) -> None:
    server = Mailferry(tmp_path / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    server.start()
    try:
        control = server.data / "control.sock"
        assert stat.S_IMODE(control.stat().st_mode) == 0o600
        second = run_command(server, "serve")
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            f"mailferry: process {server.process.pid} holds {server.data}: stop it first, or name another folder with "  # type: ignore[union-attr]  # it is started
            "--data\n"
        )
        server.ask("domains.add", domain="beside.test")
        server.kill()
        assert control.exists()  # a stale socket is no server
        listed = run_command(server, "domains", "list", "--json")
        assert {each["domain"] for each in json.loads(listed.stdout)} == {DEMO, "beside.test"}
        added = run_command(server, "domains", "add", "offline.test")
        assert added.returncode == 0 and added.stdout.startswith("offline.test is added.")

        server.start()
        assert len(server.ask("domains.list")) == 3
        assert server.stop() < 30
        assert not control.exists()
        lock = DataLock(server.data)
        lock.acquire()
        starting = run_command(server, "queue")
        lock.release()
        assert starting.returncode == 1
        assert "holds" in starting.stderr and "may just be starting or ending" in starting.stderr
    finally:
        server.end()


# --- certificates -----------------------------------------------------------------------------------------------------


def test_names_are_issued_and_served_by_a_running_server(server: Mailferry, run: Run) -> None:
    assert server.request("GET", "/health", headers={"Host": "ferry.internal"})[0] == 421
    ca_file = server.data / "ca" / "ca.pem"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, ca_file, "ferry.internal")

    status, out, err = run(server.data, "certificates", "Ferry.internal", "*.apps.internal", "10.1.2.3")
    assert (status, err) == (0, "") and "The server that runs serves them now.\n" in out
    assert f"Authority: {ca_file}\n" in out and f"  export REQUESTS_CA_BUNDLE={ca_file}\n" in out
    for host in ("ferry.internal", "bulk.ferry.internal:1", "x.apps.internal", "10.1.2.3"):
        assert server.request("GET", "/health", headers={"Host": host})[0] == 200, host
    for name in ("ferry.internal", "sandbox.ferry.internal", "x.apps.internal", "10.1.2.3", "localhost"):
        handshake(server, ca_file, name)

    told = json.loads(run(server.data, "certificates", "--json")[1])
    assert told["ca_file"] == str(ca_file) and "ferry.internal" in told["names"] and told["served"] is True
    assert told["trust"]["curl"] == [f"curl --cacert {ca_file} ..."]
    status, again, _ = run(server.data, "certificates")
    assert status == 0 and "ferry.internal" in again.splitlines()[1] and "10.1.2.3" in again.splitlines()[1]


def handshake(server: Mailferry, ca_file: Path, name: str) -> None:
    with socket.create_connection(("127.0.0.1", server.https), timeout=30) as raw:
        ssl.create_default_context(cafile=str(ca_file)).wrap_socket(raw, server_hostname=name).close()


def test_names_may_be_issued_while_the_server_is_stopped(tmp_path: Path, run: Run) -> None:
    server = Mailferry(tmp_path / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    server.start()
    server.stop()
    status, out, _ = run(server.data, "certificates", "ferry.internal")
    assert status == 0 and "The next start of the server serves them.\n" in out
    assert "ferry.internal" in issued_hosts(server.data)
    hosts = server.data / "ca" / "hosts.json"
    hosts.write_text("nonsense")
    status, out, err = run(server.data, "certificates", "other.internal")
    assert (status, out) == (1, "") and err.startswith(f"mailferry: {hosts} cannot be read")


# --- settings and credentials -----------------------------------------------------------------------------------------


def test_settings_are_shown_with_their_sources_and_without_secrets(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "mailferry.toml"
    file.write_text(
        '[relay]\nhost = "smtp.example.test:587"\npassword = "hunter2"\n[http]\nhosts = ["a.test", "b.test"]'
    )
    url = "postgresql://ferry:hunter2@db.test/ferry?password=hunter2&sslmode=require"
    shown = ["config", "--show", "--config", str(file)]
    status, out, _ = run(tmp_path, *shown, database_url=url)
    rows = {text.split()[0]: text.split()[1:] for text in out.splitlines()}
    assert status == 0 and "hunter2" not in out
    assert rows["relay.password"] == ["***", str(file)]
    assert rows["http.hosts"] == ["a.test,", "b.test", str(file)]
    assert rows["server.data_dir"] == [str(tmp_path), "command", "line"]
    assert rows["database.url"][-1] == "MAILFERRY_DATABASE_URL" and "ferry:***@db.test" in rows["database.url"][0]
    assert rows["log.level"] == ["info", "default"]

    status, out, _ = run(tmp_path, "config", "--json", "--config", str(file))
    assert "hunter2" not in out
    assert json.loads(out)["relay.host"] == {"value": "smtp.example.test:587", "from": str(file)}
    assert run(tmp_path, "config") == (0, "The settings are right. --show prints them.\n", "")


def test_credentials_are_shown_until_they_are_forgotten(server: Mailferry, run: Run, tmp_path: Path) -> None:
    # Of a server that runs its own settings are told, whichever this command was started with.
    status, out, _ = run(server.data, "credentials", "--json")
    found = json.loads(out)
    assert status == 0 and found["api_token"] == first_run(server)["api_token"]
    assert found["ca_file"] == str(server.data / "ca" / "ca.pem") and Path(found["ca_file"]).exists()
    assert found["http_url"] == f"http://127.0.0.1:{server.http}" and found["smtp"]["port"] == server.smtp
    shown = run(server.data, "credentials")[1]
    assert (
        found["api_token"] in shown and shown.startswith("\nMailferry runs.\n") and f":{server.http}/api/send" in shown
    )

    copy = tmp_path / "first-run.json"
    copy.write_bytes((server.data / "first-run.json").read_bytes())
    status, told, _ = run(tmp_path, "credentials", "--forget")
    assert status == 0 and "The token and the password stay valid" in told
    assert not copy.exists()
    assert run(tmp_path, "credentials", "--forget")[1] == "There was nothing to delete.\n"
    assert json.loads(run(tmp_path, "credentials", "--json")[1])["api_token"] is None
    (tmp_path / "mailferry.db").touch()
    status, out, err = run(tmp_path, "credentials")
    assert (status, out) == (1, "") and "for a new token: " in err and f"tokens create NAME --data {tmp_path}\n" in err
    copy.write_text("{")
    status, out, err = run(tmp_path, "credentials", "--json")
    assert (status, out) == (1, "") and err.startswith(f"mailferry: {copy} cannot be read: ")


def test_a_stopped_server_is_told_as_stopped(tmp_path: Path, run: Run) -> None:
    server = Mailferry(tmp_path / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}", "server.roles": "smtp"})
    server.start()
    found = json.loads(run(server.data, "credentials", "--json")[1])
    assert (found["http_url"], found["https_url"], found["smtp"]["port"]) == (None, None, server.smtp)
    server.stop()
    status, out, err = run(server.data, "credentials")
    assert (status, err) == (0, "") and "runs." not in out and out.startswith("\nMailferry does not run, ")
    assert "With the settings of this command it will be found here:" in out and "http://127.0.0.1:8025\n" in out
