"""`/t/l/{token}`: mail to a contact list. One click says no to the topic that it was sent for, the page to any of them.

A GET changes nothing: link scanners open it too.
"""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from mailferry.endpoints.hosts import CLIENT
from mailferry.endpoints.tracking import pages
from mailferry.endpoints.tracking.forms import ONE_CLICK, printable, read_form
from mailferry.endpoints.tracking.pages import Choice, Subscriber
from mailferry.feedback import subscriptions
from mailferry.feedback.subscriptions import Answer, Standing
from mailferry.mail import links
from mailferry.mail.links import Link
from mailferry.store.database import Database


class Topics:
    """``keys``: by their numbers, old ones too."""

    def __init__(self, keys: Mapping[int, bytes], database: Database, clock: Callable[[], int]) -> None:
        self._keys = keys
        self._database = database
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        link = links.read(links.Kind.TOPIC, request.path_params["token"], self._keys)
        if link is None:
            return pages.missing()
        if request.method != "POST":
            return pages.topics(await self._subscriber(link))
        form = await read_form(request)
        if form.get(ONE_CLICK) == ["One-Click"] or form.get("action") == ["unsubscribe"]:
            await self._say(link, request, subscriptions.no_to(link.topic_id))
        elif form.get("action") == ["unsubscribe_all"]:
            await self._say(link, request, subscriptions.no_to(0))
        elif form.get("action") == ["choose"]:
            await self._say(link, request, _chosen(form.get("want", ())))
        else:
            return pages.odd()
        return pages.topics(await self._subscriber(link), saved=True)

    async def _say(self, link: Link, request: Request, answer: Answer) -> None:
        peer = request.client.host if request.client else ""
        facts = {
            "ip": str(request.scope.get(CLIENT, peer)),
            "user_agent": printable(request.headers.get("user-agent", "")),
        }
        now = self._clock()
        await self._database.write(lambda connection: subscriptions.say(connection, link, answer, facts, now))

    async def _subscriber(self, link: Link) -> Subscriber:
        found = await self._database.read(lambda connection: subscriptions.standing(connection, link))
        return _shown(link, found)


def _chosen(wanted: "list[str] | tuple[str, ...]") -> Answer:
    """Of a page that shows them all: what is not ticked is not wanted."""
    return Answer(frozenset(int(each) for each in wanted if each.isascii() and each.isdigit()), True, False)


def _shown(link: Link, found: Standing) -> Subscriber:
    asked = next((each for each in found.topics if each.list_id == link.topic_id), None)
    wanted = not found.unsubscribed and (asked is None or found.wants(asked))
    choices = [Choice(str(each.list_id), each.display_name, found.wants(each)) for each in found.topics]
    return Subscriber(link.address, found.domain, asked.display_name if asked else "", wanted, tuple(choices))
