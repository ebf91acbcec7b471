"""Statistics."""

from mailferry.endpoints.mailtrap import stats
from mailferry.endpoints.mailtrap.openapi.declaration import Declared, Families, Parameter, json
from mailferry.endpoints.mailtrap.openapi.schemas import (
    COUNT,
    ID,
    STREAM,
    Component,
    Schema,
    answered,
    array,
    integer,
    number,
    text,
)
from mailferry.endpoints.mailtrap.table import Function

_RATE = number(minimum=0, maximum=1)
_OWN = integer("Mailferry's own.", minimum=0)
_MEASURES = ("delivery", "bounce", "open", "click", "spam")
_STATS = Component(
    "Stats",
    answered(
        {f"{measure}_{kind}": schema for measure in _MEASURES for kind, schema in (("count", COUNT), ("rate", _RATE))}
        | dict.fromkeys(
            ("sent_count", "reject_count", "unsubscribe_count", "machine_open_count", "machine_click_count"), _OWN
        )
    ),
)


def _query(domains: str) -> tuple[Parameter, ...]:
    day = text(format="date")
    return (
        Parameter("start_date", day, "The first day, in UTC.", required=True),
        Parameter("end_date", day, "The last day, in UTC.", required=True),
        Parameter(f"{domains}[]", array(ID), "Of these sending domains alone."),
        Parameter("sending_streams[]", array(STREAM), "Of these streams alone."),
        Parameter("categories[]", array(text()), "Of these categories alone."),
        Parameter("email_service_providers[]", array(text()), "Of these mailbox providers alone."),
    )


_QUERY = Families(_query("sending_domain_ids"), _query("domain_ids"))


def _by(name: str, schema: Schema) -> Schema:
    return array(answered({name: schema, "stats": _STATS}))


DECLARED: dict[Function, Declared] = {
    stats.get_total: Declared("Statistics of all mail", {200: json(_STATS)}, query=_QUERY),
    stats.get_domains: Declared(
        "Statistics by sending domain",
        {200: Families(json(_by("sending_domain_id", integer())), json(_by("domain_id", integer())))},
        query=_QUERY,
    ),
    stats.get_categories: Declared("Statistics by category", {200: json(_by("category", text()))}, query=_QUERY),
    stats.get_providers: Declared(
        "Statistics by mailbox provider", {200: json(_by("email_service_provider", text()))}, query=_QUERY
    ),
    stats.get_days: Declared("Statistics by day", {200: json(_by("date", text(format="date")))}, query=_QUERY),
}
