"""`python -m bench.handlebars [--rounds N]`: a 4 KiB mail rendered by Mailferry and by handlebars.js, in turns.

Both render the same template with the same data and must give the same text. handlebars.js runs in one Node process that
measures itself, so no pipe is in its figure; compiling is measured apart. chevron joins in where it is installed (it is
not needed): it knows Mustache alone and compiles anew each time, so it renders a twin of the template without helpers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers import handlebars_js

from mailferry.mail.handlebars import compile

HERE = Path(__file__).parent
SECONDS = 0.7  # of each measurement
SIZE = 4096  # octets of the template, about

_STYLE = "font-family:Helvetica,Arial,sans-serif;font-size:14px;color:#202124;padding:8px 12px"
TEMPLATE = f"""<!DOCTYPE html>
<html lang="{{{{locale}}}}"><head><meta charset="utf-8"><title>{{{{subject}}}}</title></head>
<body style="margin:0;background:#f4f4f5">
{{{{! what an order confirmation is made of }}}}
<table role="presentation" width="600" align="center" style="{_STYLE}">
  <tr><td style="{_STYLE}"><img src="{{{{shop.logo}}}}" alt="{{{{shop.name}}}}" width="120"></td></tr>
  <tr><td style="{_STYLE}">
    {{{{#if customer.first_name}}}}
    <h1>Thank you, {{{{customer.first_name}}}} {{{{customer.last_name}}}}!</h1>
    {{{{else}}}}
    <h1>Thank you!</h1>
    {{{{/if}}}}
    <p>Your order <strong>{{{{order.number}}}}</strong> of {{{{order.date}}}} has arrived here.</p>
  </td></tr>
  {{{{#each order.items}}}}
  <tr style="background:{{{{#if @first}}}}#ffffff{{{{else}}}}#fafafa{{{{/if}}}}">
    <td style="{_STYLE}"><a href="{{{{../shop.url}}}}/p/{{{{sku}}}}">{{{{name}}}}</a></td>
    <td style="{_STYLE}" align="right">{{{{quantity}}}} x {{{{price}}}} {{{{../order.currency}}}}</td>
    {{{{#unless in_stock}}}}
    <td style="{_STYLE}">arrives later</td>
    {{{{/unless}}}}
  </tr>
  {{{{/each}}}}
  {{{{#with order.address}}}}
  <tr><td style="{_STYLE}">{{{{name}}}}<br>{{{{street}}}}<br>{{{{zip}}}} {{{{city}}}}<br>{{{{country}}}}</td></tr>
  {{{{/with}}}}
  <tr><td style="{_STYLE}">Total: <strong>{{{{order.total}}}} {{{{order.currency}}}}</strong></td></tr>
  <tr><td style="{_STYLE}">{{{{{{footer}}}}}}</td></tr>
  <tr><td style="{_STYLE}"><a href="{{{{unsubscribe}}}}">Unsubscribe</a></td></tr>
</table>
</body></html>
"""


def padded(template: str) -> str:
    """The template with as much fixed text before its end as makes it 4 KiB."""
    line = f'  <tr><td style="{_STYLE}">All prices include taxes. This mail is sent once.</td></tr>\n'
    head, end, tail = template.partition("</table>")
    return head + line * ((SIZE - len(template)) // len(line)) + end + tail


def data() -> dict[str, Any]:
    items = [
        {"sku": f"A-{n}", "name": f"Mug & saucer <{n}>", "quantity": n, "price": 9.5 + n, "in_stock": n % 3 > 0}
        for n in range(1, 6)
    ]
    address = {
        "name": "Ada Lovelace",
        "street": "12 St James's Square",
        "zip": "SW1",
        "city": "London",
        "country": "UK",
    }
    return {
        "locale": "en",
        "subject": "Your order",
        "shop": {"name": "Tea & Co", "logo": "https://shop.example/l.png?v=2", "url": "https://shop.example"},
        "customer": {"first_name": "Ada", "last_name": "Lovelace"},
        "order": {
            "number": "2026-1124",
            "date": "24 November",
            "currency": "EUR",
            "total": 70,
            "items": items,
            "address": address,
        },
        "footer": "<p>Tea &amp; Co, London</p>",
        "unsubscribe": "https://shop.example/u?id=1&t=2",
    }


@dataclass(frozen=True, slots=True)
class Rate:
    """Renderings and compilations a second."""

    renders: float
    compiles: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.handlebars", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    rounds = parser.parse_args().rounds
    template, values = padded(TEMPLATE), data()
    contestants: dict[str, Callable[[], Rate]] = {"Mailferry": lambda: own_rate(template, values)}
    if reason := handlebars_js.missing():
        print(f"Without handlebars.js: {reason}", file=sys.stderr)
    else:
        check(template, values)
        contestants["handlebars.js"] = lambda: node_rate(template, values)
    contestants |= chevron_rate(template, values)
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; {len(template)} octets")
    measured: dict[str, list[Rate]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            measured[name].append(measure())
    report(measured)
    return 0


def check(template: str, values: dict[str, Any]) -> None:
    with handlebars_js.HandlebarsJs() as oracle:
        expected = oracle.render(template, values).text
    if compile(template).render(values) != expected:
        raise SystemExit("Mailferry and handlebars.js disagree about the bench's own template")


def own_rate(template: str, values: dict[str, Any]) -> Rate:
    compiled = compile(template)
    return Rate(rate(lambda: compiled.render(values)), rate(lambda: compile(template)))


def node_rate(template: str, values: dict[str, Any]) -> Rate:
    command = ["node", str(HERE / "handlebars.cjs"), str(handlebars_js.FOLDER), str(SECONDS)]
    question = json.dumps({"template": template, "data": values})
    done = subprocess.run(command, input=question, capture_output=True, text=True, check=True)
    return Rate(**json.loads(done.stdout))


def chevron_rate(template: str, values: dict[str, Any]) -> dict[str, Callable[[], Rate]]:
    try:
        import chevron
    except ImportError:
        return {}
    twin = mustache(template)
    return {"chevron": lambda: Rate(rate(lambda: chevron.render(twin, values)), 0.0)}


def mustache(template: str) -> str:
    """The same in Mustache: sections for helpers, names found in outer contexts by themselves."""
    for helper in ("if", "each", "with"):
        template = template.replace(f"{{{{#{helper} ", "{{#")
    template = template.replace("{{#unless ", "{{^").replace("{{/unless}}", "{{/in_stock}}").replace("../", "")
    template = template.replace("{{else}}\n    <h1>Thank you!</h1>\n", "").replace("{{else}}#fafafa", "")
    template = template.replace("{{/each}}", "{{/order.items}}").replace("{{/with}}", "{{/order.address}}")
    return template.replace("{{/if}}", "{{/customer.first_name}}", 1).replace("{{/if}}", "{{/@first}}")


def rate(deed: Callable[[], object]) -> float:
    """How often a second; the first tenth of the time is for warming up."""
    for limit in (SECONDS / 10, SECONDS):
        count, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < limit:
            for _ in range(10):
                deed()
            count += 10
    return count / spent


def report(measured: dict[str, list[Rate]]) -> None:
    renders = {name: statistics.median(rate.renders for rate in rates) for name, rates in measured.items()}
    compiles = {name: statistics.median(rate.compiles for rate in rates) for name, rates in measured.items()}
    for name in measured:
        told = f"{compiles[name]:10,.0f} compilations/s" if compiles[name] else ""
        print(f"{name:15} {renders[name]:10,.0f} renderings/s {told}")
    for name in [name for name in measured if name != "Mailferry"]:
        told = f"renders {renders['Mailferry'] / renders[name]:6.2f} x {name}"
        if compiles[name]:
            told += f", compiles {compiles['Mailferry'] / compiles[name]:6.2f} x"
        print(f"Mailferry {told}")


if __name__ == "__main__":
    sys.exit(main())
