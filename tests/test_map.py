"""The map is true: imports only fall, and every setting, state, event kind and refusal stands where it must."""

import ast
from itertools import product
from pathlib import Path

import pytest

from mailferry import config
from mailferry.endpoints.smtp.submission import REPLIES
from mailferry.intake.refusal import Reason
from mailferry.journal.events import ForbiddenWay, State, check_way

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mailferry"

#: Highest first; a room may import rooms below its own floor, never beside or above it.
FLOORS = (
    ("__main__", "testing"),
    ("cli",),
    ("roles",),
    ("housekeeping", "listening", "ending", "readiness"),
    ("first_run", "house"),
    ("endpoints",),
    ("credentials",),
    ("intake",),
    ("feedback",),
    ("delivery", "consumers"),
    ("sandbox",),
    ("resources",),
    ("journal",),
    ("net",),
    ("mail",),
    ("store",),
    ("config", "metrics", "logs", "faults", "__init__"),
    ("config_forms",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "mailferry":
            module = node.module.removeprefix("mailferry").removeprefix(".")
            found |= {module} if module else {alias.name for alias in node.names if alias.name != "__version__"}
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("mailferry.") for a in node.names if a.name.startswith("mailferry.")}
    return found


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_fall(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for module in imports(path):
        other = module.partition(".")[0]
        if other != room:
            assert FLOOR[other] > FLOOR[room], f"{path.relative_to(SOURCE)} imports {module}"


def test_mail_imports_only_mail() -> None:
    for path in (SOURCE / "mail").rglob("*.py"):
        assert {module.partition(".")[0] for module in imports(path)} <= {"mail"}


def test_an_endpoint_imports_no_other_endpoint() -> None:
    for path in (SOURCE / "endpoints").rglob("*.py"):
        own = path.relative_to(SOURCE / "endpoints").parts[0]
        for module in imports(path):
            parts = module.split(".")
            if parts[0] == "endpoints" and len(parts) > 1 and (SOURCE / "endpoints" / parts[1]).is_dir():
                assert parts[1] == own, f"{path} imports {module}"


def test_only_the_store_knows_a_driver() -> None:
    drivers = {"sqlite3", "pysqlite3", "psycopg"}
    for path in FILES:
        if path.relative_to(SOURCE).parts[0] != "store":
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not drivers & {name.partition(".")[0] for name in names}, path


def test_every_setting_is_documented_as_it_is() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for setting in config.SETTINGS:
        assert f"| `{setting.name}` |" in text.partition(f"## [{setting.section}]")[2].partition("\n## ")[0], (
            setting.key
        )
        assert setting.help in text, setting.key


#: As the design has them: from each state to each. A later report may turn a delivery into a bounce; nothing else ends
#: twice.
WAYS = """
    start      queued held rejected
    queued     held sent delivered bounced rejected cancelled
    held       queued rejected cancelled
    sent       delivered bounced
    delivered  bounced
    bounced
    rejected
    cancelled
"""


@pytest.mark.parametrize(("before", "after"), list(product(["start", *State], State)))
def test_every_way_between_states(before: str, after: State) -> None:
    ways = {line.split()[0]: line.split()[1:] for line in WAYS.strip().splitlines()}
    assert set(ways) == {"start", *State}
    start = None if before == "start" else State(before)
    if after in ways[before]:
        check_way(start, after)
    else:
        with pytest.raises(ForbiddenWay):
            check_way(start, after)


def test_every_reason_that_smtp_can_meet_has_its_reply() -> None:
    by_fields = {
        reason
        for reason in Reason
        if reason.value.split("_")[0] in {"from", "address", "recipient", "recipients", "message"}
    }
    of_all = {Reason.SENDER_NOT_ALLOWED, Reason.DEMO_RECIPIENT, Reason.RATE_EXCEEDED, Reason.QUOTA_EXCEEDED}
    assert by_fields | of_all <= set(REPLIES)
