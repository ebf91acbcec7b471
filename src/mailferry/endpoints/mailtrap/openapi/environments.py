"""What becomes of mail that must not reach everybody."""

from mailferry.endpoints.mailtrap import environments
from mailferry.endpoints.mailtrap.openapi.declaration import Asked, Declared, enveloped
from mailferry.endpoints.mailtrap.openapi.schemas import Component, array, asked, choice, integer, text
from mailferry.endpoints.mailtrap.table import Function
from mailferry.resources.environments import MOST_ALLOWED, Mode

_MEMBERS = {
    "mode": choice(Mode),
    "inbox_id": integer("The inbox that catches it.", minimum=1),
    "redirect_to": text("The address that all of it goes to."),
    "allow": array(text(), "Addresses and `@domains` that are written to all the same.", maxItems=MOST_ALLOWED),
}
_SET_ON = {
    "type": ["string", "null"],
    "enum": ["account", "domain", None],
    "description": "Whose rule holds; null: there is none.",
}
_SHOWN = Component("Environment", asked({"set_on": _SET_ON, **_MEMBERS}, "set_on", "mode"))
_ASKED = Asked(
    asked(_MEMBERS, "mode"), example={"mode": "redirect", "redirect_to": "qa@example.com", "allow": ["@example.com"]}
)
_ABOUT = "It is asked before a message is accepted, and the answer to whoever sends is the usual one."

DECLARED: dict[Function, Declared] = {
    environments.get_one: Declared("Show the environment rule of the account", {200: enveloped(_SHOWN)}, ours=True),
    environments.replace: Declared(
        "Have the account's mail delivered, caught or redirected",
        {200: enveloped(_SHOWN)},
        _ASKED,
        about=_ABOUT,
        ours=True,
    ),
    environments.delete: Declared("Take the account's environment rule away", {200: enveloped(_SHOWN)}, ours=True),
    environments.get_of_domain: Declared("Show the environment rule of a domain", {200: enveloped(_SHOWN)}, ours=True),
    environments.replace_of_domain: Declared(
        "Have a domain's mail delivered, caught or redirected",
        {200: enveloped(_SHOWN)},
        _ASKED,
        about=_ABOUT,
        ours=True,
    ),
    environments.delete_of_domain: Declared(
        "Take a domain's environment rule away", {200: enveloped(_SHOWN)}, ours=True
    ),
}
