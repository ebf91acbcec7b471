"""The verb behind ``mailferry stats show``: its lines say names."""

from typing import Any

import pytest

from mailferry.endpoints.operations.stats import stats_show
from mailferry.endpoints.operations.tools import OPERATOR, Mistake
from mailferry.resources import templates
from mailferry.resources.templates import Facts, Texts
from mailferry.store.schema import stats
from tests.test_housekeeping import tools
from tests.working_house import WorkingHouse, engines, working

__all__ = ["engines", "working"]


async def shown(working: WorkingHouse, by: str) -> list[Any]:
    found = await stats_show(tools(working.office), by=by, since="1970-01-01", account=working.account)
    return sorted((line[by] or "", line.get(f"{by}_id"), line["sent"]) for line in found["lines"])


async def test_lines_have_names(working: WorkingHouse) -> None:
    now, texts = working.clock(), Texts("Hello", body_text="Hi")
    made = await working.run(
        lambda c: templates.create(c, working.account, Facts("Welcome", "c"), texts, OPERATOR, now, most=10)
    )
    common = {"account_id": working.account, "hour": 1, "domain_id": working.domain, "stream": "bulk"}
    none = {"category": "", "provider": "", "template_id": 0}
    counted = [
        {**common, **none, "sent": 1},
        {**common, "category": "Order", "provider": "Google", "template_id": made.head.id, "sent": 2},
        {**common, **none, "template_id": 999, "sent": 4},
        {**common, **none, "domain_id": working.demo, "sent": 8},
    ]
    await working.run(lambda c: [c.execute(stats.insert().values(row)) for row in counted])
    assert made is not None
    assert await shown(working, "domain") == [("a.test", working.domain, 7), ("demo.test", working.demo, 8)]
    assert await shown(working, "template") == [("", None, 9), ("999 (deleted)", 999, 4), ("Welcome", made.head.id, 2)]
    assert await shown(working, "category") == [("", None, 13), ("Order", None, 2)]
    assert await shown(working, "provider") == [("", None, 13), ("Google", None, 2)]
    assert await shown(working, "day") == [("1970-01-01", None, 15)]


async def test_days_in_the_wrong_order_are_refused(working: WorkingHouse) -> None:
    with pytest.raises(Mistake, match="the first day, 2026-12-01, is after the last one, 2026-01-01"):
        await stats_show(tools(working.office), since="2026-12-01", until="2026-01-01")
