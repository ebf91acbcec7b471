"""A template as files in a folder: `template.json`, `subject.txt`, `body.html`, `body.txt`; and as Mailtrap's API lists it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mailferry.cli.reach import Failure

FACTS, SUBJECT = "template.json", "subject.txt"
BODIES = {"body_html": "body.html", "body_text": "body.txt"}
#: What `template.json` keeps of a template; all of it may be missing but the category.
KEPT = ("uuid", "name", "category", "escape", "strict", "test_data")
#: Octets of one template as JSON, below what the control socket takes (operations/control.LINE_LIMIT).
MOST_OCTETS = 1_000_000


def read(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each template stands, and what `templates.put` is told of it. Raises :class:`Failure`."""
    try:
        found = list(_listed(source) if source.is_file() else _folders(source))
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    if not source.exists():
        raise Failure(f"there is no {source}")
    if not found:
        raise Failure(f"{source} holds no template: a folder of one has a {SUBJECT}")
    for place, given in found:
        if len(msgspec.json.encode(given)) > MOST_OCTETS:
            raise Failure(f"{place}: a template of more than {MOST_OCTETS:,} octets goes over the API")
        yield place, given


def write(target: Path, template: Mapping[str, Any]) -> Path:
    """Into a folder below ``target``, named after the template; one that is there is overwritten."""
    folder = target / _folder_name(target, template)
    folder.mkdir(parents=True, exist_ok=True)
    facts = msgspec.json.format(msgspec.json.encode({name: template[name] for name in KEPT}), indent=2)
    (folder / FACTS).write_bytes(facts + b"\n")
    (folder / SUBJECT).write_bytes(template["subject"].encode() + b"\n")
    for field, name in BODIES.items():
        if template[field]:
            (folder / name).write_bytes(template[field].encode())
        else:
            (folder / name).unlink(missing_ok=True)
    return folder


def _folders(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    folders = [source] if (source / SUBJECT).exists() else sorted(path.parent for path in source.glob(f"*/{SUBJECT}"))
    for folder in folders:
        path = folder / FACTS
        facts = _object(path, _json(path)) if path.exists() else {}
        given = {"name": folder.resolve().name, "category": ""} | {
            n: facts[n] for n in KEPT if facts.get(n) is not None
        }
        bodies = {field: _text(folder / name) for field, name in BODIES.items() if (folder / name).exists()}
        yield str(folder), _checked(folder, given | {"subject": _text(folder / SUBJECT).rstrip("\r\n")} | bodies)


def _listed(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The answer to ``GET .../email_templates``, or a page of ``.../templates``."""
    found = _json(source)
    listed = found.get("data") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise Failure(f"{source} is no list of templates as Mailtrap's API gives it")
    for place, each in enumerate(listed):
        template = _object(source, each)
        names = (*KEPT, "subject", *BODIES)
        given = {name: template[name] for name in names if template.get(name) is not None}
        yield f"{source}, number {place + 1}", _checked(source, {"name": "", "category": "", "subject": ""} | given)


def _checked(source: Path, given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        right: type = {"escape": bool, "strict": bool, "test_data": dict}.get(name, str)
        if not isinstance(value, right):
            kind = {bool: "true or false", dict: "an object", str: "a text"}[right]
            raise Failure(f"{source}: {name} must be {kind}")
    return given


def _object(path: Path, found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Failure(f"{path} must hold an object")
    return found


def _json(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise Failure(f"{path} is no JSON: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is no UTF-8: {error.reason} at octet {error.start}") from error


def _folder_name(target: Path, template: Mapping[str, Any]) -> str:
    """Readable where it can be. Another template may have the same name: its folder is not taken."""
    name = re.sub(r"[^a-z0-9]+", "-", template["name"].lower()).strip("-")[:60] or "template"
    path = target / name / FACTS
    free = not path.exists() or _object(path, _json(path)).get("uuid") in (None, template["uuid"])
    return name if free else f"{name}-{template['uuid'][:8]}"
