"""`.../messages/{message_id}/attachments`: the files of a caught message, which are read out of its bytes."""

from typing import Any

from starlette.responses import Response

from mailferry.endpoints.mailtrap import message_parts
from mailferry.endpoints.mailtrap.api_tokens import time
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, Problem, answer
from mailferry.endpoints.mailtrap.forms import identity, refuse
from mailferry.endpoints.mailtrap.inbox_messages import existing, human
from mailferry.endpoints.mailtrap.query import BadQueryError, first, parse
from mailferry.mail import reading
from mailferry.mail.parts import MAX_PARTS
from mailferry.mail.reading import Node
from mailferry.sandbox.inbox import Caught
from mailferry.sandbox.summary import kept_line

TYPES = ("attachment", "inline")


async def get_list(call: Call) -> Response:
    caught, wanted = await existing(call), _type(call)

    def listed(message: bytes) -> Response:
        found = [_shown(call, caught, *each) for each in _attached(message)]
        return answer([each for each in found if wanted in ("", each["attachment_type"])])

    return await message_parts.read(call.deps, caught, listed)


async def get_one(call: Call) -> Response:
    caught, wanted = await existing(call), identity(call, "attachment_id")

    def one(message: bytes) -> Response:
        found = [each for each in _attached(message) if _id(caught, each[0]) == wanted]
        return answer(_shown(call, caught, *found[0])) if found else call.problem(Problem(Fault.NOT_FOUND))

    return await message_parts.read(call.deps, caught, one)


def _type(call: Call) -> str:
    try:
        wanted = first(parse(call.request.scope["query_string"]), "attachment_type")
    except BadQueryError as error:
        refuse(call, Fault.QUERY_INVALID, str(error))
    if wanted not in ("", *TYPES):
        refuse(call, Fault.QUERY_INVALID, f"'attachment_type' must be one of {', '.join(TYPES)}")
    return wanted


def _attached(message: bytes) -> list[tuple[int, Node]]:
    return list(enumerate(reading.read(message).attachments, 1))


def _id(caught: Caught, number: int) -> int:
    """The message's number and its own: no other attachment has it, and no row has to be kept."""
    return caught.id * MAX_PARTS + number


def _shown(call: Call, caught: Caught, number: int, node: Node) -> dict[str, Any]:
    inline = node.disposition == "inline" or (bool(node.content_id) and node.disposition != "attachment")
    return {
        "id": _id(caught, number),
        "message_id": caught.id,
        "filename": node.filename,
        "attachment_type": "inline" if inline else "attachment",
        "content_type": kept_line(node.media),
        "content_id": kept_line(node.content_id),
        "transfer_encoding": kept_line(node.encoding),
        "attachment_size": node.size,
        "created_at": time(caught.created_at),
        "updated_at": time(caught.created_at),
        "attachment_human_size": human(node.size),
        "download_path": message_parts.link(call.deps, caught, number) + message_parts.DOWNLOAD,
    }
