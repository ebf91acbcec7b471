"""What the pages of share links look like. No script, no image, nothing from elsewhere; a mail's own page is a frame."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse

from mailferry.endpoints.pages import HEADERS as OF_PAGES

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#566170;--line:#d9dfe7;--card:#fff;--page:#f4f6f9;--act:#1f5fbf;--on:#fff;
--good:#1a7f37;--note:#566170;--warn:#9a6700;--bad:#c62828;--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}



@media(prefers-color-scheme:dark){:root{--ink:#e7ebf1;--soft:#a3adba;--line:#343d49;--card:#1b222b;--page:#11161c;--act:#6ea4f5;--on:#0d1117;
--good:#57c878;--note:#a3adba;--warn:#e3b341;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
a{color:var(--act)}:focus-visible{outline:2px solid var(--act);outline-offset:2px}
.top,main,footer{max-width:72rem;margin:0 auto;padding:0 1.25rem}
.top{display:flex;flex-wrap:wrap;gap:.25rem .75rem;align-items:baseline;padding-top:1rem;padding-bottom:.6rem}
.top{font-size:.9rem;color:var(--soft)}
.top b{color:var(--ink);font-size:1rem}.top span,.top a{overflow-wrap:anywhere}
h1{margin:.5rem 0 .75rem;font-size:1.45rem;line-height:1.3;overflow-wrap:anywhere}h2{margin:0 0 .5rem;font-size:1.05rem}
p{margin:0 0 .75rem}.soft{color:var(--soft);font-size:.9rem}small{color:var(--soft)}
footer{padding-top:1rem;padding-bottom:2rem;color:var(--soft);font-size:.85rem}
.card h1{margin-top:0}.card>:last-child{margin-bottom:0}
.card{margin:0 0 1rem;padding:1.25rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
.bar{display:flex;flex-wrap:wrap;gap:.6rem 1rem;align-items:center;justify-content:space-between;margin:0 0 1rem}
.search{display:flex;gap:.5rem;flex:1 1 18rem;max-width:32rem}
input{flex:1;min-width:0;font:inherit;padding:.5rem .75rem}
input{color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:8px}
button,.button{display:inline-block;font:inherit;padding:.5rem 1rem;border:1px solid var(--act);border-radius:8px}
button,.button{cursor:pointer;text-decoration:none}
button,.button{background:var(--act);color:var(--on)}.quiet{background:transparent;color:var(--act)}
.mails{margin:0 0 1rem;padding:0;list-style:none;background:var(--card);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.mails li+li{border-top:1px solid var(--line)}
.mails a{display:grid;grid-template-columns:15rem 1fr auto;gap:0 1.25rem;padding:.7rem 1.25rem;color:inherit;text-decoration:none}
.mails a:hover{background:var(--page)}.mails span{min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.mails .subject{font-weight:600}.mails .to{grid-column:2}.mails .size{text-align:right}.mails .soft{align-self:center}
.mails .name{grid-row:span 2;align-self:center}
.facts{display:grid;grid-template-columns:fit-content(40%) 1fr;gap:.2rem 1rem;margin:0}
.facts dt{color:var(--soft)}.facts dd{margin:0;min-width:0;overflow-wrap:anywhere}
.tabs{display:flex;gap:.25rem;margin:0 0 1rem;padding:0 0 .25rem;overflow-x:auto;border-bottom:1px solid var(--line)}
.tabs a{flex:none;padding:.45rem .8rem;border-radius:8px;color:var(--soft);text-decoration:none}
.tabs a:hover{background:var(--card)}.tabs a[aria-current]{background:var(--act);color:var(--on)}
.choices{display:flex;flex-wrap:wrap;gap:.5rem 1rem;margin:0 0 .75rem}
.choice{display:inline-flex;border:1px solid var(--line);border-radius:8px;overflow:hidden;background:var(--card)}
.choice a{padding:.3rem .8rem;color:var(--ink);text-decoration:none;font-size:.9rem}.choice a+a{border-left:1px solid var(--line)}
.choice a[aria-current]{background:var(--act);color:var(--on)}
.stage{overflow-x:auto;margin:0 0 1rem}
iframe{display:block;width:100%;height:75vh;min-height:24rem;margin:0 auto;border:1px solid var(--line);border-radius:12px;background:#fff}
iframe.narrow{width:377px}iframe.dark{background:#121212}
.code,pre{margin:0;font:13px/1.55 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4}
.code{padding:0 0 0 3.75rem}.code li{padding-left:.5rem}.code li::marker{color:var(--soft)}.code li:target{background:rgba(110,164,245,.25)}
.wide{overflow-x:auto}table{width:100%;border-collapse:collapse;font-size:.92rem}
th,td{padding:.45rem .75rem .45rem 0;text-align:left;vertical-align:top;border-top:1px solid var(--line);overflow-wrap:anywhere}
thead th{border:0;color:var(--soft);font-weight:400;white-space:nowrap}th[scope=row]{font-weight:600}
td.number{text-align:right;white-space:nowrap}
code{font:.9em var(--mono);overflow-wrap:anywhere}
.found{margin:0 0 1rem;padding:0;list-style:none}.found li{padding:.45rem 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
.graded li{display:grid;grid-template-columns:5.25rem 1fr}
.found li:first-child{border:0}.mark{font-weight:600}small{font-weight:400}
.pass,.ok{color:var(--good)}.note,.not_asked{color:var(--note)}.warning{color:var(--warn)}
.problem,.broken,.unreachable,.wrong{color:var(--bad)}
.big{font-size:1.6rem;font-weight:600}
@media(max-width:640px){.top,main,footer{padding-left:.9rem;padding-right:.9rem}.card{padding:1rem}h1{font-size:1.25rem}
.mails a{grid-template-columns:1fr auto;padding:.7rem 1rem}.mails .name,.mails .when{grid-row:1}.mails .subject{grid-column:1/-1;grid-row:2}
.mails .to{grid-column:1;grid-row:3}.mails .size{grid-row:3}
.stage{margin-left:-.9rem;margin-right:-.9rem}.code{padding-left:2.75rem}
.tabs{flex-wrap:wrap}.tabs a{padding:.3rem .6rem;font-size:.95rem}
.stacked thead{display:none}.stacked tr,.stacked th,.stacked td{display:block}.stacked tr{padding:.5rem 0;border-top:1px solid var(--line)}
.stacked th,.stacked td{padding:.05rem 0;border:0}.stacked td.number{text-align:left}
.stacked tbody tr:first-child{border:0}
.stacked td[data-name]::before{content:attr(data-name) ": ";color:var(--soft);font-size:.9em}.stacked td:empty{display:none}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: A search and a check are sent to this server, and frames show nothing but its own pages.
HEADERS = OF_PAGES | {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
}

Crumb = tuple[str, str]
"""Words, and where they lead; nowhere: ""."""

_FOOT = (
    "Caught by a sandbox of Mailferry, and not delivered to those it names. Whoever has this page's link can read it."
)


def page(title: str, body: str, crumbs: Sequence[Crumb] = (), status: int = 200) -> HTMLResponse:
    """``body`` is HTML; title and crumbs are text."""
    way = "".join(f"<span>›</span>{_crumb(*each)}" for each in crumbs)
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{kept(title)}</title><style>{_STYLE}</style></head><body><header class="top"><b>Mailferry</b>{way}</header>'
        f"<main>{body}</main><footer>{_FOOT}</footer></body></html>"
    )
    # Half a surrogate pair has no UTF-8 form.
    return HTMLResponse(text.encode("utf-8", "replace"), status, HEADERS)


def kept(text: str) -> str:
    """As HTML."""
    return escape(text)


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Of texts; those that are empty are left out."""
    return '<dl class="facts">{}</dl>'.format(
        "".join(f"<dt>{kept(name)}</dt><dd>{kept(value)}</dd>" for name, value in pairs if value)
    )


def choice(name: str, options: Sequence[tuple[str, str, bool]]) -> str:
    """Words, where they lead, and whether they are chosen now."""
    links = "".join(f'<a href="{kept(href)}"{_current(chosen)}>{kept(words)}</a>' for words, href, chosen in options)
    return f'<span class="choice" role="group" aria-label="{kept(name)}">{links}</span>'


def tabs(options: Sequence[tuple[str, str, bool]]) -> str:
    links = "".join(f'<a href="{kept(href)}"{_current(chosen)}>{kept(words)}</a>' for words, href, chosen in options)
    return f'<nav class="tabs" aria-label="Views">{links}</nav>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML, the first of a row is its name."""
    head = "".join(f'<th scope="col">{kept(each)}</th>' for each in heads)
    body = "".join(f'<tr><th scope="row">{row[0]}</th>{_cells(heads, row)}</tr>' for row in rows)
    return f'<div class="wide"><table class="stacked"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(heads: Sequence[str], row: Sequence[str]) -> str:
    """Where there is no room for a row they stand below each other, with the names of their columns."""
    return "".join(f'<td data-name="{kept(name)}">{cell}</td>' for name, cell in zip(heads[1:], row[1:], strict=True))


def card(body: str, heading: str = "") -> str:
    return f'<section class="card">{f"<h2>{kept(heading)}</h2>" if heading else ""}{body}</section>'


def _crumb(words: str, href: str) -> str:
    return f'<a href="{kept(href)}">{kept(words)}</a>' if href else f"<span>{kept(words)}</span>"


def _current(chosen: bool) -> str:
    return ' aria-current="page"' if chosen else ""
