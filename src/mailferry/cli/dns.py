"""``mailferry dns``: the zone that the CNAME records of sending domains point into."""

from mailferry.cli import show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, Json, Where
from mailferry.cli.reach import call

dns = noun("dns")


@dns.command
def export(*, where: Where = HERE, json: Json = False) -> None:
    """Print the zone file of [dns] zone: what the CNAME records of all sending domains point at."""
    result = call(where.load(), "dns.export")
    show.as_json(result) if json else print(result["zone"], end="")
