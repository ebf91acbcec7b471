"""Key pairs that an operator makes: what each may do by boto3, and that one of Amazon's works unmodified, on both databases."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.amazon import ON_SQLITE, SENDER, Amazon, amazon, in_thread
from tests.commands import ask_later
from tests.server import DOMAIN, add_domain

pytestmark = ON_SQLITE

THEIRS = {"key_id": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
TO = {"ToAddresses": ["a@dest.test"]}
MESSAGE = {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "It works."}}}


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


async def made(cloud: Amazon, name: str, *access: str, **pair: str) -> Any:
    """boto3's client of SES v1 and of v2, with a new key."""
    key = await ask_later(cloud.server, "keys.create", name=name, access=access, **pair)
    named = {"aws_access_key_id": key["access_key_id"], "aws_secret_access_key": key["secret_access_key"]}
    return cloud.client("ses", **named), cloud.client("sesv2", **named)


async def send(v2: Any, sender: str = SENDER) -> str:
    answer = await in_thread(v2.send_email, FromEmailAddress=sender, Destination=TO, Content={"Simple": MESSAGE})
    return str(answer["MessageId"])


async def code(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(ClientError) as refused:
        await (call(*arguments, **named) if call is send else in_thread(call, *arguments, **named))
    return str(refused.value.response["Error"]["Code"])


async def test_a_key_does_what_it_is_for(cloud: Amazon) -> None:
    await add_domain(cloud.server, cloud.dns, "other.test")
    v1, v2 = await made(cloud, "reader", "account=viewer")
    assert (await in_thread(v2.get_account))["SendingEnabled"] and (await in_thread(v1.get_send_quota))["MaxSendRate"]
    assert await code(send, v2) == "AccessDeniedException"
    assert await code(v1.send_email, Source=SENDER, Destination=TO, Message=MESSAGE) == "AccessDenied"
    assert await code(v2.put_account_sending_attributes, SendingEnabled=False) == "AccessDeniedException"

    v1, v2 = await made(cloud, "one", f"domain:{DOMAIN}=admin")
    assert await code(send, v2, "app@other.test") == "MessageRejected"
    assert await code(v1.update_account_sending_enabled, Enabled=False) == "AccessDenied"
    told = [await send(v2)]

    v1, v2 = await made(cloud, "theirs", "account=admin", **THEIRS)
    told += [await send(v2, "app@other.test")]
    await cloud.mx.received(2)
    received = b"".join(mail.content for mail in cloud.mx.transactions)
    assert all(each.encode() in received for each in told)
    await ask_later(cloud.server, "keys.disable", key=THEIRS["key_id"])
    assert await code(send, v2) == "UnrecognizedClientException"
    assert await code(v1.get_send_quota) == "InvalidClientTokenId"
    await ask_later(cloud.server, "keys.enable", key=THEIRS["key_id"])
    assert (await in_thread(v1.get_send_quota))["SentLast24Hours"] == 2
    await ask_later(cloud.server, "keys.revoke", key=THEIRS["key_id"])
    assert await code(v1.get_send_quota) == "InvalidClientTokenId"
    used = {each["name"]: bool(each["last_used_at"]) for each in await ask_later(cloud.server, "keys.list")}
    assert used == {"first-key": False, "reader": True, "one": True}
