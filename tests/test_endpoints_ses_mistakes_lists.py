"""The usual mistakes of emulators in suppression, contact lists and jobs (the list's numbers), by requests as they travel."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.amazon import SENDER, Amazon, amazon, in_thread


@pytest.fixture
async def cloud(tmp_path: Path) -> Any:
    async with amazon(tmp_path) as found:
        yield found


def ask(cloud: Amazon, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{cloud.server.http}{path}"
    octets = b"" if body is None else json.dumps(body).encode()
    request = AWSRequest(method, url, data=octets)
    pair = Credentials(cloud.pair["access_key_id"], cloud.pair["secret_access_key"])
    SigV4Auth(pair, "ses", "us-east-1").add_auth(request)
    sent = urllib.request.Request(url, octets or None, dict(request.headers), method=method)
    try:
        with urllib.request.urlopen(sent, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers) | json.loads(error.read())


async def test_2_4_17_and_19_paths_timestamps_suppression_and_paging(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    odd = "us+er/2%@dest.test"
    # 2: every octet of a name survives the path.
    await in_thread(v2.put_suppressed_destination, EmailAddress=odd, Reason="COMPLAINT")
    found = (await in_thread(v2.get_suppressed_destination, EmailAddress=odd))["SuppressedDestination"]
    assert found["EmailAddress"] == odd
    # 4: timestamps are numbers. 19: on the last page there is no token, and no null.
    status, answer = await in_thread(ask, cloud, "GET", "/v2/email/suppression/addresses?PageSize=1")
    assert status == 200
    assert list(answer) == ["SuppressedDestinationSummaries"]
    assert isinstance(answer["SuppressedDestinationSummaries"][0]["LastUpdateTime"], float)
    await in_thread(v2.delete_suppressed_destination, EmailAddress=odd)
    # 17: a send to a suppressed address is no error, and the others get their mail.
    await in_thread(v2.put_suppressed_destination, EmailAddress="dead@dest.test", Reason="BOUNCE")
    content = {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "It works."}}}}
    to = {"ToAddresses": ["dead@dest.test", "good@dest.test"]}
    sent = await in_thread(v2.send_email, FromEmailAddress=SENDER, Destination=to, Content=content)
    assert sent["MessageId"]
    assert [each.recipients for each in await cloud.mx.received(1)] == [("good@dest.test",)]
    # And an empty list of reasons is no list at all: nothing is suppressed.
    await in_thread(v2.put_account_suppression_attributes, SuppressedReasons=[])
    await in_thread(v2.send_email, FromEmailAddress=SENDER, Destination=to, Content=content)
    assert {each.recipients for each in await cloud.mx.received(3)} == {("good@dest.test",), ("dead@dest.test",)}


async def test_19_and_20_older_paths_and_what_is_silent(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    await in_thread(v2.create_contact_list, ContactListName="Readers")
    await in_thread(v2.create_contact, ContactListName="Readers", EmailAddress="a/b@dest.test")
    for method, path in (
        ("POST", "/v2/email/contact-lists/Readers/contacts/list"),
        ("GET", "/v2/email/contact-lists/Readers/contacts"),
    ):
        status, answer = await in_thread(ask, cloud, method, path, {"PageSize": 10, "Unknown": 1})
        assert (status, [each["EmailAddress"] for each in answer["Contacts"]]) == (200, ["a/b@dest.test"])
        assert "NextToken" not in answer
    for method, path in (("POST", "/v2/email/import-jobs/list"), ("GET", "/v2/email/import-jobs")):
        assert await in_thread(ask, cloud, method, path) == (200, {"ImportJobs": []})
    await in_thread(v2.delete_contact, ContactListName="Readers", EmailAddress="a/b@dest.test")
    # v2 deletes nothing silently; a path with a slash at its end is no redirect.
    status, answer = await in_thread(ask, cloud, "DELETE", "/v2/email/contact-lists/Readers/contacts/a%2Fb%40dest.test")
    assert (status, answer["x-amzn-errortype"]) == (404, "NotFoundException")
    status, answer = await in_thread(ask, cloud, "GET", "/v2/email/insights/none/")
    assert (status, answer["x-amzn-errortype"]) == (404, "NotFoundException")
