"""A signing process: digests in, signatures out, until its input ends. Started by :mod:`mailferry.delivery.signing`."""

import struct
import sys
from typing import NamedTuple

import msgspec

from mailferry.mail import dkim

FRAME = struct.Struct(">I")


class Signing(NamedTuple):
    """``keys`` are those that this process has not seen: key id -> PKCS#8 PEM."""

    request: int
    keys: dict[int, bytes]
    digests: list[tuple[int, bytes]]


def frame(body: bytes) -> bytes:
    return FRAME.pack(len(body)) + body


def main() -> None:
    keys: dict[int, dkim.PrivateKey] = {}
    decode = msgspec.msgpack.Decoder(Signing).decode
    read, out = sys.stdin.buffer.read, sys.stdout.buffer
    while head := read(FRAME.size):
        signing = decode(read(*FRAME.unpack(head)))
        for key_id, pem in signing.keys.items():
            keys[key_id] = dkim.load(pem)
        signatures = [dkim.sign(keys[key_id], digest) for key_id, digest in signing.digests]
        out.write(frame(msgspec.msgpack.encode((signing.request, signatures))))
        out.flush()


if __name__ == "__main__":
    main()
