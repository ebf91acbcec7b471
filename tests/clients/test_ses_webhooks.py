"""The views of django-anymail and django-ses take what topics are told, with nothing set but whom to trust."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.amazon import Amazon, amazon, in_thread
from tests.clients.programs import PROGRAM_SECONDS, clean_environment, trusting
from tests.clients.ses_webhooks import SECRET
from tests.fakes.receiver import Receiver, Request
from tests.flows.test_ses_events import HTML, Listener, get, send, until, with_set

PROGRAM = Path(__file__).with_name("ses_webhooks.py")
TAGGED = [{"Name": "X-Tag", "Value": "news"}, {"Name": "X-Metadata", "Value": '{"order": 7}'}]


async def view(cloud: Amazon, which: str, requests: list[Request]) -> list[Any]:
    """What a view answers, in a process of its own."""
    ca = str(cloud.server.data / "ca" / "ca.pem")
    url = f"https://localhost:{cloud.server.https}"
    environment = clean_environment() | trusting(cloud.server)
    environment |= {"SSL_CERT_FILE": ca, "AWS_CA_BUNDLE": ca, "AWS_ENDPOINT_URL_SNS": url}
    environment |= {
        "AWS_ACCESS_KEY_ID": cloud.pair["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": cloud.pair["secret_access_key"],
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = await in_thread(
        subprocess.run,
        [sys.executable, str(PROGRAM), which, f"localhost:{cloud.server.https}"],
        input=json.dumps([{"headers": each.headers, "body": each.body.decode()} for each in requests]),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("which", ["anymail", "django-ses"])
async def test_a_view_confirms_and_knows_our_events(tmp_path: Path, which: str) -> None:
    async with amazon(tmp_path) as cloud, Receiver() as receiver:
        listener = Listener(cloud, receiver, "/sns")
        ca = str(cloud.server.data / "ca" / "ca.pem")
        url = f"https://localhost:{cloud.server.https}"
        listener.sns = cloud.client("sns", endpoint_url=url, verify=ca)
        listener.verify = ca
        asked = await listener.subscribe(userinfo=f"{SECRET}@")
        assert await view(cloud, which, listener.requests) == [{"status": 200, "told": []}]
        if which == "django-ses":  # it visits links of Amazon's own hosts only
            await in_thread(get, asked["SubscribeURL"], ca)
        attributes = (await in_thread(listener.sns.get_topic_attributes, TopicArn=listener.topic))["Attributes"]
        assert attributes["SubscriptionsConfirmed"] == "1"

        await with_set(listener)
        content = {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Html": {"Data": HTML}}, "Headers": TAGGED}}
        ids = {
            word: await send(cloud, f"{word}@simulator.amazonses.com", Content=content)
            for word in ("bounce", "complaint", "click")
        }
        wanted = {"Send": 3, "Delivery": 2, "Bounce": 1, "Complaint": 1, "Open": 1, "Click": 1}
        for type_, count in wanted.items():
            await listener.event(type_, count)
        answers = await view(cloud, which, listener.requests[1:])
        assert {each["status"] for each in answers} == {200}
        told = [event for each in answers for event in each["told"]]
        names = {"anymail": ("bounced", "complained", "clicked"), "django-ses": ("bounce", "complaint", "click")}[which]
        found = {event["event"]: event for event in told}
        assert [found[name]["message"] for name in names] == [ids["bounce"], ids["complaint"], ids["click"]]
        if which == "anymail":
            assert all(event["tags"] == ["news"] and event["metadata"] == {"order": 7} for event in told)
            assert (found["bounced"]["reason"], found["clicked"]["url"]) == ("bounced", "https://shop.example/x")
        else:
            await until(lambda: len(told) == sum(wanted.values()))
            forged = listener.requests[-1]
            body = forged.body.replace(b'"Timestamp": "2', b'"Timestamp": "1')
            assert body != forged.body
            (refused,) = await view(cloud, which, [Request(forged.path, forged.headers, body, 200)])
            assert refused == {"status": 400, "told": []}
