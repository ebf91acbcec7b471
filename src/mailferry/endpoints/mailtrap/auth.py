"""The token of a request: ``Authorization: Bearer TOKEN`` (RFC 6750 2.1) or ``Api-Token: TOKEN``."""

from starlette.datastructures import Headers

#: Ours have 32 characters; what is longer is not even hashed.
MAX_SECRET = 256


def secret(headers: Headers) -> str | None:
    """None: none was given, or several that differ, and then nobody can say who is calling."""
    given = {value.strip() for value in headers.getlist("api-token")}
    for value in headers.getlist("authorization"):
        scheme, _, token = value.strip().partition(" ")
        # Another scheme may be meant for a proxy in front of us, and says nothing about the caller.
        if scheme.lower() == "bearer":
            given.add(token.strip())
    if len(given) != 1:
        return None
    only = given.pop()
    return only if only and len(only) <= MAX_SECRET else None
