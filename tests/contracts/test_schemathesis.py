"""A stranger reads our description of the API, makes up requests of all kinds, and compares what a running server answers.

schemathesis asks each operation for its examples, for the bounds of what it says it takes, and for whatever else may come;
no answer may be a 5xx, of a status that is not described, or of another shape than the description says.
"""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.openapi import strict
from tests.fakes.dns import FakeDNS
from tests.server import running

#: Requests of any kind, beside the examples and the bounds; `make soak` asks for more.
EXAMPLES = 3
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance", "unsupported_method", "ignored_auth"),
)
#: A token that it makes up beside the right one would have everything answered 401.
CONFIG = """
[generation]
with-security-parameters = false
[parameters]
"path.account_id" = 1
"""
#: Of the short run: both families have the same functions, so the bounds are asked for over one of them alone.
SHORT = """
[[operations]]
include-path-regex = "^/(api/accounts/\\\\{account_id\\\\}|bulk)/"
phases.coverage.enabled = false
"""
#: Operations that may be answered no 2xx in this run, and why.
EXCUSED = {
    "/send_setup_instructions": "no domain of this account is approved",
    "/contacts/exports": "one that was asked for over the other family may still run",
    "/forward": "no address is confirmed",
    "/sub_accounts": "the account is in no organization",
}


async def test_a_stranger_finds_nothing_that_is_not_described(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    examples = max(pytestconfig.getoption("--examples") // 50, EXAMPLES)
    # Without consumers nobody calls the webhooks that it makes, and a demo domain writes to the simulator alone.
    settings: dict[str, Any] = {"limits__api_rate": 0, "server__roles": "api,delivery,housekeeping"}
    async with FakeDNS() as dns, running(tmp_path, dns, **settings) as server:
        url, token = f"http://127.0.0.1:{server.http}", server.credentials["api_token"]
        outcome, answered = await asyncio.to_thread(judged, tmp_path, url, token, examples)
        log = server.log.read_text()
    assert outcome.returncode == 0, (outcome.stdout + outcome.stderr)[-20_000:]
    assert "api_failed" not in log and "http_failed" not in log
    statuses = Counter[str]()
    for each in answered.values():
        statuses.update(each)
    assert statuses["401"] < statuses.total() / 10 < statuses["200"], statuses
    described = json.loads((tmp_path / "openapi.json").read_text())["paths"]
    operations = [f"{method.upper()} {path}" for path, item in described.items() for method in item]
    never = [each for each in operations if not any(status[0] == "2" for status in answered.get(each, ()))]
    assert [(each, answered.get(each)) for each in never if not each.endswith(tuple(EXCUSED))] == []


def judged(
    folder: Path, url: str, token: str, examples: int
) -> tuple[subprocess.CompletedProcess[str], dict[str, dict[str, int]]]:
    """What schemathesis said, and how often each operation was answered each status."""
    with urllib.request.urlopen(f"{url}/api/openapi.json", timeout=30) as response:
        document = json.loads(response.read())
    # What an object does not name, it must not have.
    (folder / "openapi.json").write_text(json.dumps(strict(document)))
    short = examples <= EXAMPLES
    (folder / "schemathesis.toml").write_text(CONFIG + (SHORT if short else ""))
    phases = "examples,coverage,fuzzing" + ("" if short else ",stateful")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", "openapi.json"),
        *("--url", url, "--header", f"Authorization: Bearer {token}", "--phases", phases),
        *("--max-examples", str(examples), "--generation-deterministic"),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off"),
    ]
    run = {"URL": url, "TOKEN": token, "SEEN": str(folder / "seen.json")}
    environment = os.environ | {f"MAILFERRY_RUN_{name}": value for name, value in run.items()}
    environment |= {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=7200)
    answered = json.loads((folder / "seen.json").read_text()) if (folder / "seen.json").exists() else {}
    return done, answered
