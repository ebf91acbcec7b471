"""One suppression list behind Amazon's and Mailtrap's API: what the one writes, the other shows and both obey."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.amazon import ON_SQLITE, SENDER, Amazon, amazon, in_thread

pytestmark = ON_SQLITE

CONTENT = {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "It works."}}}}


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


async def mailtrap(cloud: Amazon, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    token = cloud.server.credentials["api_token"]
    octets = None if body is None else json.dumps(body).encode()
    found, answer = await in_thread(cloud.server.request, method, path, token, octets)
    assert found == status, answer
    return answer


async def send(cloud: Amazon, to: str, **params: Any) -> str:
    client = cloud.client("sesv2")
    answer = await in_thread(
        client.send_email,
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": [to]},
        Content=CONTENT,
        **params,
    )
    return str(answer["MessageId"])


async def test_what_one_side_suppresses_stops_the_mail_of_the_other(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    await in_thread(v2.put_suppressed_destination, EmailAddress=" Dead@Dest.Test", Reason="BOUNCE")
    sent = {"from": {"email": SENDER}, "to": [{"email": "dead@dest.test"}], "subject": "Hi", "text": "It works."}
    answer = await mailtrap(cloud, "POST", "/api/send", sent)
    log = await mailtrap(cloud, "GET", f"/api/accounts/1/email_logs/{answer['message_ids'][0]}")
    assert log["status"] == "not_delivered"
    (shown,) = await mailtrap(cloud, "GET", "/api/accounts/1/suppressions?email=dead@dest.test")
    assert (shown["type"], shown["sending_stream"], shown["domain_name"]) == ("hard bounce", "any", "")

    # And the reverse, for one domain: mail by Amazon's side of that domain stops, and its list says why.
    (domain,) = [
        each
        for each in (await mailtrap(cloud, "GET", "/api/accounts/1/sending_domains"))["data"]
        if each["domain_name"] == SENDER.partition("@")[2]
    ]
    body = {
        "email": "angry@dest.test",
        "domain_id": domain["id"],
        "sending_stream": "transactional",
        "type": "spam complaint",
    }
    await mailtrap(cloud, "POST", "/api/accounts/1/suppressions", body, 201)
    assert (await cloud.log(await send(cloud, "angry@dest.test")))["status"] == "not_delivered"
    found = (await in_thread(v2.get_suppressed_destination, EmailAddress="Angry@dest.test"))["SuppressedDestination"]
    assert (found["EmailAddress"], found["Reason"]) == ("angry@dest.test", "COMPLAINT")

    # Deleted here is deleted there, whoever wrote it for whatever domain.
    for address in ("angry@dest.test", "dead@dest.test"):
        await in_thread(v2.delete_suppressed_destination, EmailAddress=address)
        assert not await mailtrap(cloud, "GET", f"/api/accounts/1/suppressions?email={address}")
    await send(cloud, "angry@dest.test")
    assert [each.recipients for each in await cloud.mx.received(1)] == [("angry@dest.test",)]


async def test_the_list_is_put_read_and_paged(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    begin = datetime.now(UTC) - timedelta(seconds=5)
    for number in range(5):
        reason = "COMPLAINT" if number % 2 else "BOUNCE"
        await in_thread(v2.put_suppressed_destination, EmailAddress=f"us.er+{number}@dest.test", Reason=reason)
    # Put again is no error, and the newest reason counts.
    await in_thread(v2.put_suppressed_destination, EmailAddress="us.er+4@dest.test", Reason="COMPLAINT")
    found, token = [], {}
    while True:
        page = await in_thread(v2.list_suppressed_destinations, PageSize=2, **token)
        found += page["SuppressedDestinationSummaries"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert [(each["EmailAddress"][6], each["Reason"]) for each in found] == [
        ("0", "BOUNCE"),
        ("1", "COMPLAINT"),
        ("2", "BOUNCE"),
        ("3", "COMPLAINT"),
        ("4", "COMPLAINT"),
    ]
    bounces = await in_thread(v2.list_suppressed_destinations, Reasons=["BOUNCE"], StartDate=begin)
    assert len(bounces["SuppressedDestinationSummaries"]) == 2
    assert not (await in_thread(v2.list_suppressed_destinations, EndDate=begin))["SuppressedDestinationSummaries"]
    with pytest.raises(v2.exceptions.InvalidNextTokenException):
        await in_thread(v2.list_suppressed_destinations, NextToken="nonsense")
    with pytest.raises(v2.exceptions.BadRequestException, match=r"enum value set: \[BOUNCE, COMPLAINT\]"):
        await in_thread(v2.put_suppressed_destination, EmailAddress="a@dest.test", Reason="SPAM")
    for operation in (v2.get_suppressed_destination, v2.delete_suppressed_destination):
        with pytest.raises(
            v2.exceptions.NotFoundException, match=r"n@dest\.test does not exist on your suppression list"
        ):
            await in_thread(operation, EmailAddress="n@dest.test")


async def test_reasons_that_the_account_does_not_suppress_stop_no_mail(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    await in_thread(v2.put_suppressed_destination, EmailAddress="a@dest.test", Reason="BOUNCE")
    await in_thread(v2.put_account_suppression_attributes, SuppressedReasons=["COMPLAINT"])
    assert (await in_thread(v2.get_account))["SuppressionAttributes"] == {"SuppressedReasons": ["COMPLAINT"]}
    await send(cloud, "a@dest.test")
    await cloud.mx.received(1)
    await in_thread(v2.put_account_suppression_attributes, SuppressedReasons=["BOUNCE", "COMPLAINT"])
    assert (await cloud.log(await send(cloud, "a@dest.test")))["status"] == "not_delivered"
