"""How much memory JSON will take once it is decoded, found out before it is.

Three octets (``[],``) become eighty: fifty megabytes of them would be more than a gigabyte, and no limit on bodies sees
it. Text does not grow, so only what stands outside of strings counts.
"""

#: Octets that CPython takes for one value, measured with msgspec 0.22 on 3.11, rounded up.
_OCTETS = {b"[": 90, b"{": 200, b",": 60, b":": 90}
#: Up to so many times its own size plus so many octets a body may grow without being looked at closely.
USUAL_GROWTH = 3
USUAL_OCTETS = 1024 * 1024
#: Nothing found grows more than forty times, so a body of this size stays within what is usual.
SMALL_BODY = 28 * 1024
_WINDOW = 256 * 1024
_NOT_STRUCTURE = bytes(octet for octet in range(256) if octet not in b'"[{,:')


def growth(body: bytes | bytearray, most: int) -> int:
    """Octets beyond the usual growth, 0 for nearly every body; more than ``most`` is not counted to the end."""
    usual = USUAL_GROWTH * len(body) + USUAL_OCTETS
    if len(body) <= SMALL_BODY or _octets(body) <= usual:
        return 0
    # Nothing but quotes and structure: pairs of quotes are strings then.
    skeleton = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NOT_STRUCTURE)
    total, inside = -usual, 0
    for start in range(0, len(skeleton), _WINDOW):
        pieces = skeleton[start : start + _WINDOW].split(b'"')
        total += _octets(b"".join(pieces[inside::2]))
        inside = (inside + len(pieces) - 1) % 2
        if total > most:
            break
    return max(total, 0)


def _octets(structure: bytes | bytearray) -> int:
    return sum(structure.count(sign) * octets for sign, octets in _OCTETS.items())
