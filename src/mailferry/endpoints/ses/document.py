"""``make docs``: writes what every operation does, out of the tables of operations, behind the heading of docs/ses.md that names it."""

import sys
from pathlib import Path

from mailferry.endpoints.ses.operation import Does
from mailferry.endpoints.ses.table import TABLE

HEADING = "## Operations\n"
_NAMES = {"ses": "SES v1", "sesv2": "SES v2", "sns": "SNS", "sts": "STS"}
_INTRODUCTION = (
    "Made from the code by `make docs`. *Full*: it does what it does at Amazon. *Stored*: kept and read back, without effect on "
    "mail.\n*Not supported*: refused with a text that says why.\n"
)


def written(page: str) -> str:
    """The page with its operations as they are now. Raises ValueError: it has no such heading."""
    return page[: page.index(HEADING)] + operations()


def operations() -> str:
    return "\n".join([HEADING, _INTRODUCTION, *map(_service, TABLE)])


def _service(name: str) -> str:
    ops = TABLE[name]
    counts = ", ".join(f"{sum(op.does is does for op in ops.values())} {does}" for does in Does)
    rows = [f"| {each} | {op.does} | {op.remark} |" for each, op in sorted(ops.items())]
    return "\n".join([f"### {_NAMES[name]}: {counts}\n", "| Operation | Does | Remark |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text()))
