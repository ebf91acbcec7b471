"""A real server with a sending domain, and boto3 before it: what every test of Amazon's dialect stands on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from tests.fakes.dns import FakeDNS
from tests.fakes.mx import FakeMX
from tests.server import DOMAIN, Mailferry, add_domain, running

#: For stories whose operations are held on both databases in process (tests/test_endpoints_ses_*.py): a server costs seconds.
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

T = TypeVar("T")
SENDER = f"app@{DOMAIN}"
ZONE = {"dest.test": {"MX": "10 mx.dest.test"}, "mx.dest.test": {"A": "127.0.0.1"}}


class Amazon:
    """Clients of the server by their service's name, and what its recipients' host took."""

    def __init__(self, server: Mailferry, dns: FakeDNS, mx: FakeMX) -> None:
        self.server, self.dns, self.mx = server, dns, mx
        made = server.credentials  # which starts a process each time
        self.pair, self.token = made["ses"], made["api_token"]

    def client(self, service: str, *, region: str = "us-east-1", **options: Any) -> Any:
        """boto3's, with nothing changed but its endpoint and its keys; a failed call is not tried again."""
        return boto3.client(
            service,
            **{
                "region_name": region,
                "endpoint_url": f"http://127.0.0.1:{self.server.http}",
                "aws_access_key_id": self.pair["access_key_id"],
                "aws_secret_access_key": self.pair["secret_access_key"],
                "config": Config(retries={"total_max_attempts": 1}),
            }
            | options,
        )

    async def log(self, public_id: str) -> Any:
        """What Mailtrap's API says of the first recipient of a message whose id is of Amazon's form."""
        shown = await in_thread(self.server.command, "messages", "show", public_id[17:53])
        return await self._get(f"/api/accounts/1/email_logs/{shown['recipients'][0]['id']}")

    async def _get(self, path: str) -> Any:
        status, answer = await in_thread(self.server.request, "GET", path, self.token, None)
        assert status == 200, answer
        return answer


async def in_thread(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """boto3 blocks; the fakes live in the event loop."""
    return await asyncio.to_thread(function, *arguments, **named)


@contextlib.asynccontextmanager
async def amazon(tmp_path: Path, url: str = "", **settings: Any) -> AsyncIterator[Amazon]:
    """``url``: of the database; settings as section__name."""
    async with (
        FakeDNS(dict(ZONE)) as dns,
        FakeMX() as mx,
        running(tmp_path, dns, smtp_port=mx.port, url=url, **settings) as server,
    ):
        await add_domain(server, dns)
        yield Amazon(server, dns, mx)
