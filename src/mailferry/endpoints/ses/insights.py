"""What became of messages, v2: one by one (message insights), and in numbers (metrics), out of the log and the counters."""

from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import ids, stories
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import invalid, not_found
from mailferry.endpoints.ses.metrics import Asked, Uncounted, by_day
from mailferry.endpoints.ses.stories import Story
from mailferry.resources.permissions import Resource

_DAY_MS = 86_400_000


async def get_message(call: Call, params: Params) -> Result:
    public_id = params["MessageId"]
    wanted, seen = ids.internal(public_id), call.rights.granted(Resource.DOMAIN)
    found = await call.read(lambda c: stories.of_message(c, call.account_id, wanted, seen)) if wanted else []
    if not found:
        raise not_found(f"Message {public_id} was not found.")
    first = found[0]
    return {
        "MessageId": public_id,
        "FromEmailAddress": first.sender,
        "Subject": first.subject or None,
        "EmailTags": [{"Name": name, "Value": value} for name, values in first.tags.items() for value in values],
        "Insights": [_insight(each) for each in found],
    }


async def batch_get_metric_data(call: Call, params: Params) -> Result:
    """By day. What is not counted is an error of its query alone."""
    queries = params["Queries"]
    if not queries:
        raise invalid("Queries must not be empty")
    seen = call.rights.granted(Resource.DOMAIN)

    def read(connection: Connection) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        results, errors = [], []
        for each in queries:
            asked = Asked(each["Metric"], each["StartDate"], each["EndDate"], each.get("Dimensions", {}))
            try:
                found = by_day(connection, call.account_id, asked, seen)
            except Uncounted as error:
                errors.append({"Id": each["Id"], "Code": "INTERNAL_FAILURE", "Message": str(error)})
                continue
            days, values = [day * _DAY_MS for day in found], list(found.values())
            results.append({"Id": each["Id"], "Timestamps": days, "Values": values})
        return results, errors

    for each in queries:
        if each["StartDate"] >= each["EndDate"]:
            raise invalid("StartDate must be before EndDate")
    results, errors = await call.read(read)
    return {"Results": results, "Errors": errors}


async def list_recommendations(call: Call, params: Params) -> Result:
    """Nothing is recommended: `mailferry domains verify` and the alerts of domains say what is wrong with one."""
    return {"Recommendations": []}


def _insight(story: Story) -> dict[str, Any]:
    return {
        "Destination": story.address,
        "Isp": story.isp or None,
        "Events": [
            {"Timestamp": each.at, "Type": each.type, **({"Details": each.details} if each.details else {})}
            for each in story.events
        ],
    }
