"""The document as a page to read: HTML without scripts, and nothing in it is loaded from anywhere.

Paths of the two families that say the same stand together; where they differ, each says its own.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from mailferry.endpoints.mailtrap.openapi.declaration import OWN
from mailferry.endpoints.mailtrap.openapi.page_schemas import Words, marked

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dfe7;--card:#fff;--page:#f4f6f9;--act:#1f5fbf;--own:#7a4a00}
@media(prefers-color-scheme:dark){:root{--ink:#e7ebf1;--soft:#a3adba;--line:#343d49;--card:#1b222b;--page:#11161c;--act:#6ea4f5;--own:#e0b060}}
*{box-sizing:border-box}html{scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
code,.type{font:.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
a{color:var(--act)}:focus-visible{outline:2px solid var(--act);outline-offset:2px}
.all{max-width:78rem;margin:0 auto;padding:1.5rem 1rem 4rem}
nav ul{list-style:none;margin:0 0 1.5rem;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1rem}
h1{margin:0 0 .5rem;font-size:1.6rem}h2{margin:2.5rem 0 .75rem;font-size:1.25rem}h3{margin:1.25rem 0 .3rem;font-size:1rem}
p{margin:0 0 .75rem;max-width:46rem}.soft,.about{color:var(--soft)}.about{display:block}
details,.object{background:var(--card);border:1px solid var(--line);border-radius:8px;margin:0 0 .5rem}
.object{padding:.1rem 1rem 1rem}summary{cursor:pointer;padding:.6rem 1rem}.inside{padding:.75rem 1rem 1rem;border-top:1px solid var(--line)}
summary .said{display:block;color:var(--soft)}summary .at{display:block}
.method{display:inline-block;min-width:4.2rem;font-weight:700;color:var(--act)}.own{color:var(--own);font-size:.85rem}
dl,dl dl{margin:0}dt{margin-top:.4rem}dd{margin:0 0 0 1rem}dd dl,dd ul{border-left:2px solid var(--line);padding-left:.75rem}
pre{overflow:auto;margin:.5rem 0;padding:.6rem .75rem;border:1px solid var(--line);border-radius:6px}
ul.ways{list-style:none;margin:.25rem 0;padding-left:.75rem}.must{color:var(--own);font-size:.85rem}.type{color:var(--soft)}
@media(min-width:62rem){.all{display:grid;grid-template-columns:12rem 1fr;gap:2rem}nav{position:sticky;top:1.5rem;align-self:start}
nav ul{display:block}nav li{margin-bottom:.4rem}main{min-width:0}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}

Operation = Mapping[str, Any]


def written(document: Mapping[str, Any], file: str) -> str:
    """``file``: where the document itself is."""
    info, words = document["info"], Words(document)
    areas = _areas(document)
    links = "".join(f'<li><a href="#{_anchor(name)}">{escape(name)}</a></li>' for name in [*areas, "Objects"])
    sections = "".join(_area(name, found, words) for name, found in areas.items())
    title = f"{escape(info['title'])} {escape(info['version'])}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}: the API</title><style>{_STYLE}</style></head>\n"
        f'<body><div class="all"><nav aria-label="Areas"><ul>{links}</ul></nav><main><h1>{title}: the API</h1>'
        f"{paragraphs(info['description'])}"
        f"<p>Every request brings a token, as <code>Authorization: Bearer TOKEN</code> or <code>Api-Token: TOKEN</code>. "
        f'For programs there is <a href="{escape(file)}">the OpenAPI document</a>.</p>\n'
        f"{sections}{_objects(document, words)}</main></div></body></html>\n"
    )


def paragraphs(text: str) -> str:
    return "".join(f"<p>{marked(each)}</p>" for each in text.strip().split("\n\n"))


# --- operations ----------------------------------------------------------------------------------------------------


def _areas(document: Mapping[str, Any]) -> dict[str, dict[tuple[str, str], list[tuple[str, Operation]]]]:
    """By area, then by method and summary: the paths, and what each of them says."""
    found: dict[str, dict[tuple[str, str], list[tuple[str, Operation]]]] = {tag["name"]: {} for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            key = (method.upper(), operation["summary"])
            found[operation["tags"][0]].setdefault(key, []).append((path, operation))
    return found


def _area(name: str, found: Mapping[tuple[str, str], Sequence[tuple[str, Operation]]], words: Words) -> str:
    shown = "".join(_operation(method, summary, paths, words) for (method, summary), paths in found.items())
    return f'<section><h2 id="{_anchor(name)}">{escape(name)}</h2>\n{shown}</section>\n'


def _operation(method: str, summary: str, paths: Sequence[tuple[str, Operation]], words: Words) -> str:
    said: dict[str, list[str]] = {}
    for path, operation in paths:
        said.setdefault("".join(_said(operation, words)), []).append(path)
    inside = "".join((f"<h3>Over {_codes(those)}</h3>" if len(said) > 1 else "") + text for text, those in said.items())
    own = ' <span class="own">Mailferry\'s own</span>' if paths[0][1].get(OWN) else ""
    at = "".join(f'<code class="at">{escape(path)}</code>' for path, _ in paths)
    return (
        f'<details id="{paths[0][1]["operationId"]}"><summary><span class="method">{method}</span>'
        f'{escape(summary)}{own}<span class="said">{at}</span></summary><div class="inside">{inside}</div></details>\n'
    )


def _said(operation: Operation, words: Words) -> Iterator[str]:
    yield paragraphs(operation["description"])
    parameters = [words.resolved(each) for each in operation["parameters"]]
    if given := [each for each in parameters if each["name"] != "account_id"]:
        yield f"<h3>Parameters</h3><dl>{''.join(_parameter(each, words) for each in given)}</dl>"
    if body := operation.get("requestBody"):
        yield f"<h3>Body{'' if body['required'] else ', which may be missing'}</h3>"
        for each in body["content"].values():
            yield words.schema(each["schema"])
            if example := each.get("example"):
                yield f"<pre><code>{escape(json.dumps(example, indent=2))}</code></pre>"
    yield "<h3>Answers</h3><dl>"
    for status, response in operation["responses"].items():
        yield _answer(status, words.resolved(response), words)
    yield "</dl>"


def _parameter(parameter: Mapping[str, Any], words: Words) -> str:
    where = {"path": "in the path", "query": "in the query", "header": "a header"}[parameter["in"]]
    must = ' <span class="must">required</span>' if parameter.get("required") else ""
    about = f'<span class="about">{marked(parameter.get("description", ""))}</span>'
    return (
        f"<dt><code>{escape(parameter['name'])}</code> {where}{must}</dt><dd>{about}"
        f"{words.schema(parameter['schema'])}</dd>"
    )


def _answer(status: str, response: Mapping[str, Any], words: Words) -> str:
    shown = "".join(
        f'<span class="type">{escape(media)}</span> {words.schema(each["schema"])}'
        for media, each in response.get("content", {}).items()
    )
    return f"<dt><strong>{status}</strong> {marked(response['description'])}</dt><dd>{shown}</dd>"


def _objects(document: Mapping[str, Any], words: Words) -> str:
    shown = "".join(
        f'<div class="object" id="{Words.anchor(name)}"><h3>{escape(name)}</h3>{words.schema(schema)}</div>\n'
        for name, schema in document["components"]["schemas"].items()
    )
    return f'<section><h2 id="objects">Objects</h2>\n{shown}</section>'


def _codes(paths: Sequence[str]) -> str:
    return ", ".join(f"<code>{escape(path)}</code>" for path in paths)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
