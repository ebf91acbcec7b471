"""What one HTTP connection may use, and all of a listener together (RFC 9110 section 17, RFC 9112 sections 3 and 5)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Octets and seconds."""

    #: Of one listener. Each may hold a head and one read (256 KiB) of requests that wait.
    connections: int = 1000
    #: Request line and header fields together; as much as uvicorn's other parser takes, and four times Node's.
    head: int = 64 * 1024
    #: Apache's number; proxies add a dozen.
    fields: int = 100
    #: Requests sent ahead that wait for their turn.
    pipelined: int = 100
    #: Of one body. Each costs work, whatever its size: beyond this number they must carry `chunk_size` on average.
    chunks: int = 10_000
    chunk_size: int = 64
    #: From the connection, or from the first octet of a further request, until a head is there.
    head_time: float = 20.0
    #: Input is read on for so long after a last answer, see `_part`.
    linger: float = 30.0
    #: A client that does not read its answers for so long is cut off.
    write: float = 60.0
