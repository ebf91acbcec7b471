"""Signatures that botocore makes are verified, and nothing else is (AWS Signature Version 4)."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from mailferry.endpoints.ses import sigv4
from mailferry.endpoints.ses.sigv4 import Request, SignatureError, Wrong

KEY, SECRET = "MFAKEXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
paths = st.lists(words.filter(bool), max_size=5).map(
    lambda parts: "/" + "/".join(quote(part, safe="") for part in parts)
)
queries = st.lists(st.tuples(words.filter(bool), words), max_size=5).map(
    lambda pairs: "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
)
header_values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
headers = st.dictionaries(st.from_regex(r"x-[a-z]{1,8}", fullmatch=True), header_values, max_size=3).filter(
    lambda found: "x-amz-date" not in found
)


def signed(method: str, target: str, given_headers: dict[str, str], body: bytes, *, query: bool = False) -> Request:
    request = AWSRequest(method=method, url=f"http://mail.test:8025{target}", headers=given_headers, data=body)
    credentials = Credentials(KEY, SECRET)
    auth = (SigV4QueryAuth if query else SigV4Auth)(credentials, "ses", "eu-west-1")
    auth.add_auth(request)
    found = urlsplit(request.url)
    raw = found.path + (f"?{found.query}" if found.query else "")
    fields = [(b"host", b"mail.test:8025")] + [(k.lower().encode(), v.encode()) for k, v in request.headers.items()]
    return Request(method, (raw or "/").encode(), fields, body)


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def accepted(request: Request, secret: str = SECRET, now: int = 0, service: str = "ses") -> Any:
    claim = sigv4.read_claim(request)
    sigv4.verify(request, claim, secret, service, now or now_ms())
    return claim


@given(st.sampled_from(["GET", "POST", "PUT", "DELETE"]), paths, queries, headers, st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_what_botocore_signs_is_verified(
    method: str, path: str, query: str, fields: dict[str, str], body: bytes
) -> None:
    request = signed(method, f"{path}?{query}" if query else path, fields, body)
    claim = accepted(request)
    assert (claim.key_id, claim.region, claim.service) == (KEY, "eu-west-1", "ses")


@given(paths, queries)
@settings(max_examples=100, deadline=None)
def test_what_botocore_presigns_is_verified(path: str, query: str) -> None:
    accepted(signed("GET", f"{path}?{query}" if query else path, {}, b"", query=True))


@given(st.binary(min_size=1, max_size=100), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_any_other_body_is_not(body: bytes, place: int) -> None:
    request = signed("POST", "/v2/email/outbound-emails", {"content-type": "application/json"}, body)
    place %= len(body)
    other = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
    with pytest.raises(SignatureError) as caught:
        accepted(Request(request.method, request.target, request.headers, other))
    assert caught.value.wrong is Wrong.MISMATCH


@pytest.mark.parametrize("part", ["method", "path", "query", "header", "secret"])
def test_any_other_part_is_not(part: str) -> None:
    request = signed("POST", "/v2/email/tags?a=1", {"x-amz-meta": "one"}, b"{}")
    method, target, fields, secret = request.method, request.target, list(request.headers), SECRET
    match part:
        case "method":
            method = "PUT"
        case "path":
            target = b"/v2/email/tagS?a=1"
        case "query":
            target = b"/v2/email/tags?a=2"
        case "header":
            fields = [(k, b"two" if k == b"x-amz-meta" else v) for k, v in fields]
        case "secret":
            secret = SECRET[:-1] + "Z"
    with pytest.raises(SignatureError) as caught:
        accepted(Request(method, target, fields, b"{}"), secret)
    assert caught.value.wrong is Wrong.MISMATCH
    # Whoever signs wrongly sees what was to be signed.
    assert "The Canonical String for this request should have been\n'" + method in caught.value.text


def test_the_path_is_encoded_once_more() -> None:
    """Of the wire, not of what a framework makes of it: %2F is no slash."""
    assert sigv4.canonical_path(b"/v2/email/templates/a%2Fb%20c") == "/v2/email/templates/a%252Fb%2520c"
    assert sigv4.canonical_path(b"/a/./b/../c/") == "/a/c/"
    assert sigv4.canonical_path(b"") == sigv4.canonical_path(b"/") == "/"


def test_the_payload_may_be_unsigned_or_named() -> None:
    accepted(signed("POST", "/", {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, b"anything"))
    wrong = signed("POST", "/", {"x-amz-content-sha256": "0" * 64}, b"anything")
    with pytest.raises(SignatureError, match="does not match the SHA-256"):
        accepted(wrong)
    streaming = signed("POST", "/", {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, b"x")
    with pytest.raises(SignatureError, match="S3's alone"):
        accepted(streaming)


@pytest.mark.parametrize(("minutes", "text"), [(16, "Signature expired"), (-16, "Signature not yet current")])
def test_clocks_may_differ_by_a_quarter_of_an_hour(minutes: int, text: str) -> None:
    request = signed("POST", "/", {}, b"")
    accepted(request, now=now_ms() + 14 * 60_000)
    with pytest.raises(SignatureError, match=text) as caught:
        accepted(request, now=now_ms() + minutes * 60_000)
    assert caught.value.wrong is Wrong.EXPIRED


def test_another_service_is_refused_by_name() -> None:
    with pytest.raises(
        SignatureError, match=r"scoped to correct service: 'sns'\. This one is for 'ses'; Mailferry serves"
    ):
        accepted(signed("POST", "/", {}, b""), service="sns")


def test_a_session_token_is_refused_clearly() -> None:
    with pytest.raises(SignatureError, match="session tokens are not supported"):
        accepted(signed("POST", "/", {"x-amz-security-token": "FwoGZXIvYXdzE"}, b""))


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("AWS3-HTTPS AWSAccessKeyId=x", "Signature Version 4"),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", "SigV4A"),
        ("AWS4-HMAC-SHA256 Credential=x, Signature=y", "requires 'SignedHeaders'"),
        ("AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=y", "Credential must have the form"),
        ("AWS4-HMAC-SHA256 Credential=k/20260101/r/ses/aws4_request, SignedHeaders=x-a, Signature=y", "'Host' must be"),
        ("Bearer x", "Signature Version 4"),
    ],
)
def test_what_is_no_signature_is_told(header: str, text: str) -> None:
    fields = [(b"authorization", header.encode()), (b"x-amz-date", b"20260101T000000Z"), (b"host", b"h")]
    with pytest.raises(SignatureError, match=text) as caught:
        sigv4.read_claim(Request("POST", b"/", fields, b""))
    assert caught.value.wrong is Wrong.INCOMPLETE


def test_nothing_at_all_is_missing() -> None:
    with pytest.raises(SignatureError) as caught:
        sigv4.read_claim(Request("POST", b"/", [], b""))
    assert caught.value.wrong is Wrong.MISSING


@pytest.mark.parametrize(
    "odd", ["%C3%A9", "%E4%B8%AD", "%00", "%D9%A9"]
)  # é, 中, NUL, and a digit that is none of ASCII's
@pytest.mark.parametrize("member", ["Credential", "Date", "SignedHeaders", "Signature"])
def test_what_is_said_of_a_signature_is_ascii(member: str, odd: str) -> None:
    said = {
        "Algorithm": "AWS4-HMAC-SHA256",
        "Credential": "K/20261124/us-east-1/ses/aws4_request",
        "Date": "20261124T020019Z",
        "Expires": "60",
        "SignedHeaders": "host",
        "Signature": "ab",
    }
    said[member] = odd + said[member]
    query = "&".join(f"X-Amz-{name}={value}" for name, value in said.items())
    with pytest.raises(SignatureError) as caught:
        accepted(Request("GET", f"/?{query}".encode(), [(b"host", b"mail.test:8025")], b""))
    assert caught.value.wrong is Wrong.INCOMPLETE


def test_a_header_s_signature_of_other_octets_is_refused() -> None:
    request = signed("GET", "/", {}, b"")
    odd = [
        (name, value.replace(b"Signature=", b"Signature=\xe9") if name == b"authorization" else value)
        for name, value in request.headers
    ]
    with pytest.raises(SignatureError) as caught:
        accepted(Request("GET", b"/", odd, b""))
    assert caught.value.wrong is Wrong.INCOMPLETE
