"""SendBulkTemplatedEmail and SendBulkEmail: one template, up to fifty destinations, a result for each in their order.

What is wrong with the call as a whole (sender, template, configuration set) fails all of it; what is wrong with an entry
is that entry's result. All entries are accepted together, unless they are so large that they come in slices.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mailferry.endpoints.bodies import Share
from mailferry.endpoints.ses import addresses, ids, templated
from mailferry.endpoints.ses.conditions import Conditions, check_account, check_tenant, conditions
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid
from mailferry.endpoints.ses.outgoing import Outgoing, Tag, check_tags, make, refused
from mailferry.endpoints.ses.parts import attachment, destination, headers, tags
from mailferry.endpoints.ses.templated import Chosen, choose, merged, no_source, no_template
from mailferry.intake import checks
from mailferry.intake.refusal import Reason
from mailferry.intake.render import Rendering
from mailferry.intake.submission import Accepted, Refused, Submission
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Attachment, Content
from mailferry.store.database import unavailable

MAX_ENTRIES = 50
#: About so many octets are composed and accepted at once.
SLICE_OCTETS = 32 * 1024 * 1024
#: By the code of what is wrong with an entry, v1's word and v2's.
_STATUSES = {
    "AccountDailyQuotaExceeded": ("AccountDailyQuotaExceeded", "ACCOUNT_DAILY_QUOTA_EXCEEDED"),
    "AccountThrottled": ("AccountThrottled", "ACCOUNT_THROTTLED"),
    "InvalidParameterValue": ("InvalidParameterValue", "INVALID_PARAMETER"),
    "InvalidRenderingParameter": ("InvalidParameterValue", "INVALID_PARAMETER"),
    "MessageRejected": ("MessageRejected", "MESSAGE_REJECTED"),
    "ServiceUnavailable": ("TransientFailure", "TRANSIENT_FAILURE"),
    "TemplateDoesNotExist": ("TemplateDoesNotExist", "TEMPLATE_NOT_FOUND"),
    "Throttling": ("TransientFailure", "TRANSIENT_FAILURE"),
}

#: What is one code for a call is two for an entry.
_OVER = {Reason.QUOTA_EXCEEDED: "AccountDailyQuotaExceeded", Reason.RATE_EXCEEDED: "AccountThrottled"}


@dataclass(frozen=True, slots=True)
class Entry:
    destination: Mapping[str, Any]
    data: str
    tags: Sequence[Tag]
    headers: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Bulk:
    """What the entries have in common, where they do not say otherwise."""

    source: str
    reply_to: Sequence[str]
    set_name: str
    template: Chosen
    data: str
    tags: Sequence[Tag]
    entries: Sequence[Entry]
    headers: Sequence[Mapping[str, str]] = ()
    attachments: Sequence[Mapping[str, Any]] = ()


#: The message's id as the client is told it, or why there is none.
Sent = str | SesError
#: What it was made of, for the words of a refusal.
Ready = tuple[Outgoing, Submission] | SesError


async def send_v1(call: Call, params: Params) -> Result:
    entries = [
        Entry(each["Destination"], each.get("ReplacementTemplateData", ""), tags(each.get("ReplacementTags", ())))
        for each in params["Destinations"]
    ]
    bulk = Bulk(
        params["Source"],
        params.get("ReplyToAddresses", ()),
        params.get("ConfigurationSetName", ""),
        Chosen(params["Template"]),
        params["DefaultTemplateData"],
        tags(params.get("DefaultTags", ())),
        entries,
    )
    return {"Status": [_result(sent, 0) for sent in await send(call, bulk)]}


async def send_v2(call: Call, params: Params) -> Result:
    template = params["DefaultContent"].get("Template", {})
    await check_tenant(call, params.get("TenantName", ""))
    bulk = Bulk(
        params.get("FromEmailAddress") or no_source(),
        params.get("ReplyToAddresses", ()),
        params.get("ConfigurationSetName", ""),
        choose(template),
        template.get("TemplateData", ""),
        tags(params.get("DefaultEmailTags", ())),
        list(map(_entry, params["BulkEmailEntries"])),
        template.get("Headers", ()),
        template.get("Attachments", ()),
    )
    return {"BulkEmailEntryResults": [_result(sent, 1) for sent in await send(call, bulk)]}


async def send(call: Call, bulk: Bulk) -> list[Sent]:
    """In the order of the entries. Raises `SesError` for what is wrong with all of them."""
    if not 1 <= len(bulk.entries) <= MAX_ENTRIES:
        raise invalid(f"A bulk send has 1 to {MAX_ENTRIES} destinations, this one has {len(bulk.entries)}.")
    check_tags(bulk.tags)
    sender = _sender(bulk.source)
    await check_account(call)
    asked = await conditions(call, bulk.source, bulk.set_name)
    rendering = await bulk.template.open(call)
    if bulk.template.name and not rendering.knows(bulk.template.name):
        no_template(bulk.template.name)
    maker = _Maker(call, bulk, sender, asked, rendering)
    return await _in_slices(call, maker)


class _Maker:
    """Makes of entries what the intake takes, one after the other."""

    def __init__(self, call: Call, bulk: Bulk, sender: Mailbox, asked: Conditions, rendering: Rendering) -> None:
        self._call = call
        self.bulk = bulk
        self._sender = sender
        self._asked = asked
        self._rendering = rendering
        self._data = templated.data(bulk.data)
        self._attachments: tuple[Attachment, ...] = tuple(map(attachment, bulk.attachments))

    async def ready(self, entry: Entry, share: Share) -> Ready:
        try:
            named = _over(self.bulk.tags, entry.tags)
            check_tags(named)
            outgoing = await self._outgoing(entry)
            await templated.take(share, outgoing)
            return outgoing, make(self._call, outgoing, named, self._asked)
        except SesError as error:
            return error

    async def _outgoing(self, entry: Entry) -> Outgoing:
        to, cc, recipients = destination(entry.destination)
        content = Content(
            self._sender,
            to,
            cc,
            addresses.mailboxes(self.bulk.reply_to),
            attachments=self._attachments,
            headers=headers(_headers_over(self.bulk.headers, entry.headers)),
        )
        template, given = self.bulk.template, merged(self._data, templated.data(entry.data))
        outgoing = Outgoing(self.bulk.source, recipients, content)
        return templated.fill(outgoing, template, await template.produce(self._rendering, given))


async def _in_slices(call: Call, maker: _Maker) -> list[Sent]:
    results: list[Sent] = []
    part: list[Ready] = []
    size = 0
    entries = maker.bulk.entries
    with Share(call.deps.budget, call.deps.body.patience) as share:
        for entry in entries:
            await asyncio.sleep(0)  # fifty entries with much data would block all others
            item = await maker.ready(entry, share)
            octets = _octets(item)
            if size and size + octets > SLICE_OCTETS:
                results += await _accepted(call, part, results)
                share.give_back(keep=octets)
                part, size = [], 0
            part.append(item)
            size += octets
            if isinstance(item, SesError) and item.code == "Throttling":
                break  # the others would wait for memory in vain, one by one
        results += await _accepted(call, part, results)
    busy = SesError("Throttling", "The server has no memory for this message now.")
    return results + [busy] * (len(entries) - len(results))


async def _accepted(call: Call, part: Sequence[Ready], before: Sequence[Sent]) -> list[Sent]:
    ready = [each for each in part if not isinstance(each, SesError)]
    try:
        outcome = await call.deps.intake.accept([submission for _, submission in ready]) if ready else []
    except Exception as error:
        if not any(isinstance(sent, str) for sent in before):
            raise
        # What stands before is accepted, so the client must hear its ids.
        away = unavailable(error)
        tell = call.deps.log.warning if away else call.deps.log.exception
        tell("bulk_slice_failed", request_id=call.request_id, error=type(error).__name__)
        code = "ServiceUnavailable" if away else "InternalFailure"
        return [each if isinstance(each, SesError) else SesError(code, "Try again later.") for each in part]
    assert isinstance(outcome, list), "without an idempotency key there is nothing to replay"
    heard = iter(zip(ready, outcome, strict=True))
    return [each if isinstance(each, SesError) else _sent(call, *next(heard)) for each in part]


def _sent(call: Call, ready: tuple[Outgoing, Submission], outcome: Accepted | Refused) -> Sent:
    """Raises `SesError`: the sender may not send, which is the same for all."""
    if isinstance(outcome, Accepted):
        return ids.public(outcome.message_id, call.region)
    refusal = outcome.refusals[0]
    error = refused(call, ready[0], refusal)
    if refusal.reason is Reason.SENDER_NOT_ALLOWED:
        raise error
    return replace(error, code=_OVER.get(refusal.reason, error.code))


def _result(sent: Sent, version: int) -> dict[str, Any]:
    """``version``: the place of its word in :data:`_STATUSES`."""
    if isinstance(sent, str):
        return {"Status": ("Success", "SUCCESS")[version], "MessageId": sent}
    return {"Status": _STATUSES.get(sent.code, ("Failed", "FAILED"))[version], "Error": sent.message}


def _entry(given: Mapping[str, Any]) -> Entry:
    replacement = given.get("ReplacementEmailContent", {}).get("ReplacementTemplate", {})
    return Entry(
        given["Destination"],
        replacement.get("ReplacementTemplateData", ""),
        tags(given.get("ReplacementTags", ())),
        given.get("ReplacementHeaders", ()),
    )


def _sender(source: str) -> Mailbox:
    try:
        return addresses.mailbox(source)
    except SesError:
        raise invalid(f"Invalid email address<{source}>.") from None


def _over(defaults: Sequence[Tag], own: Sequence[Tag]) -> list[Tag]:
    """An entry's tags in place of those of the same name."""
    names = {tag.name for tag in own}
    return [*(tag for tag in defaults if tag.name not in names), *own]


def _headers_over(defaults: Sequence[Mapping[str, str]], own: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    names = {each["Name"].lower() for each in own}
    return [*(each for each in defaults if each["Name"].lower() not in names), *own]


def _octets(item: Ready) -> int:
    return 0 if isinstance(item, SesError) or not item[0].content else checks.octets(item[0].content)
