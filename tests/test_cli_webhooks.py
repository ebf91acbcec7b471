"""``mailferry webhooks``: what it prints, and what it says when something is wrong."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailferry.cli import app as cli
from tests.fakes.receiver import Receiver
from tests.peers.process import free_port
from tests.server import Mailferry

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailferry]:
    made = Mailferry(tmp_path_factory.mktemp("cli") / "data", {"dns.nameservers": f"127.0.0.1:{free_port()}"})
    made.start()
    yield made
    made.end()


@pytest.fixture
def run(server: Mailferry, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a verb in this process, which saves half a second: (exit status, standard output, standard error)."""

    def call(*arguments: str, data: Path | None = None) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run(["webhooks", *arguments, "--data", str(data or server.data)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """In a loop of its own, since the commands run in this thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = Receiver()
    asyncio.run_coroutine_threadsafe(made.open(), loop).result(10)
    yield made

    async def end() -> None:
        await made.close()
        await asyncio.sleep(0.05)

    asyncio.run_coroutine_threadsafe(end(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def added(run: Run, url: str, *options: str) -> dict[str, Any]:
    status, out, err = run("add", url, *options, "--json")
    assert status == 0, err
    return dict(json.loads(out))


def test_what_mailtrap_does_not_send_must_be_asked_for(run: Run) -> None:
    assert "deliverability_alert" not in added(run, "https://example.com/all")["events"]
    asked = added(run, "https://example.com/alerts", "--events", "deliverability_alert")
    assert asked["events"] == ["deliverability_alert"]


def test_a_webhook_is_added_shown_paused_and_removed(run: Run) -> None:
    made = added(run, "https://u:secret@example.com/x", "--events", "delivery, bounce", "--stream", "bulk", "--paused")
    assert made["url"] == "https://***@example.com/x" and len(made["signing_secret"]) == 32
    assert (made["active"], made["events"], made["stream"]) == (False, ["delivery", "bounce"], "bulk")
    number = str(made["id"])
    status, out, _ = run("list")
    assert status == 0 and "https://***@example.com/x" in out and "paused" in out and "secret" not in out
    status, out, _ = run("show", number)
    assert status == 0 and "delivery, bounce" in out and "secret" not in out.lower()
    assert run("resume", number)[1] == f"Webhook {number} is active; 0 events wait, 0 are parked.\n"
    assert run("pause", number)[1] == f"Webhook {number} is paused; 0 events wait, 0 are parked.\n"
    assert run("resume", number, "--skip")[1] == f"Webhook {number} is active; 0 events are skipped.\n"
    old = made["signing_secret"]
    status, out, _ = run("reset-secret", number)
    assert status == 0 and "whsec_" in out and old not in out
    assert run("remove", number)[1] == "https://***@example.com/x is removed; 0 events were not sent yet.\n"
    status, _, err = run("show", number)
    assert status == 1 and f"there is no webhook {number}" in err


def test_a_webhook_may_stand_for_a_bus_or_a_stream_of_aws(run: Run) -> None:
    bus = "arn:aws:events:us-east-1:123456789012:event-bus/default"
    made = added(run, "https://example.com/bus", "--destination", bus)
    assert (made["type"], made["subscription"], made["format"]) == ("event_destination", bus, "event")
    stream = "arn:aws:firehose:us-east-1:123456789012:deliverystream/mail"
    assert added(run, "https://example.com/stream", "--destination", stream)["format"] == "jsonlines"
    assert bus in run("show", str(made["id"]))[1]
    status, _, err = run("test", str(made["id"]))
    assert status == 1 and "send a message with a configuration set that has it" in err
    assert run("remove", str(made["id"]))[0] == 0


def test_a_test_says_what_came_of_it(run: Run, receiver: Receiver) -> None:
    number = str(added(run, receiver.url())["id"])
    status, out, _ = run("test", number)
    assert status == 0 and f"9 events to {receiver.url()}" in out and "taken." in out
    assert len(receiver.requests[0].events) == 9
    receiver.answer = lambda request: 500
    status, out, _ = run("test", number)
    assert status == 1 and "not taken: answered 500" in out
    status, out, _ = run("log", number, "--attempts")
    assert status == 0 and out.count("test") == 2 and "500" in out
    status, out, _ = run("log", number)
    assert (status, out) == (0, "Nothing was sent, and nothing waits.\n")


def test_replays(run: Run) -> None:
    number = str(added(run, "https://example.com/")["id"])
    status, out, _ = run("replay", number, "--since", "2026-01-31T12:00", "--until", "2026-01-31T14:00+01:00")
    assert status == 0 and "from 2026-01-31T12:00:00" in out and "to 2026-01-31T13:00:00" in out
    assert "Replay of 2026-01-31T12:00:00" in run("show", number)[1]
    assert run("replay", number, "--parked")[1] == "0 parked events are tried again now.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "example.com"], "the URL must begin with https:// or http://"),
        (["add", "https://example.com", "--events", "spam"], "'spam' is no type of event"),
        (["add", "https://example.com", "--domain", "nowhere.test"], "nowhere.test is no sending domain here"),
        (["add", "https://example.com", "--destination", "default"], "'default' is neither arn:aws:events:"),
        (
            ["add", "https://example.com", "--destination", "arn:aws:events:x:1:event-bus/a", "--events", "open"],
            "what a destination is told, its configuration set says",
        ),
        (["log", "1", "--state", "lost"], "'lost' is no state"),
        (["test", "77"], "there is no webhook 77"),
        (["replay", "1"], "say since when"),
        (["replay", "1", "--since", "yesterday"], "'yesterday' is no time"),
        (["replay", "1", "--since", "2026-01-02", "--until", "2026-01-01"], "2026-01-02 is later than 2026-01-01"),
    ],
)
def test_mistakes(run: Run, arguments: list[str], said: str) -> None:
    added(run, "https://example.com/")
    status, out, err = run(*arguments)
    assert (status, out) == (1, "") and said in err
