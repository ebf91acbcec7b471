"""What somebody sees who was invited. Nothing is accepted but by sending a form: link scanners open the page too."""

from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse

from mailferry.endpoints.pages import page, strong
from mailferry.resources.invitations import Offer
from mailferry.resources.users import LEAST_PASSWORD, MOST_PASSWORD

#: Characters of a name.
MOST_NAME = 255


def ask(offer: Offer, granted: Sequence[str], *, name: str = "", wrong: Sequence[str] = ()) -> HTMLResponse:
    """``granted``: in words. ``wrong``: what is the matter with the form that was sent."""
    who = strong(offer.email)
    invited = f"{strong(offer.created_by)} invites {who}" if offer.created_by else f"{who} is invited"
    intro = f"<p>{invited} to the account {strong(offer.account_name)}, as:</p>"
    rights = "".join(f"<li>{escape(each)}</li>" for each in granted)
    faults = "".join(f"<p><strong>{escape(each)}</strong></p>" for each in wrong)
    known = '<p class="soft">You keep the name and the password that you have here.</p>'
    inside = known if offer.known else _person(name)
    form = f'<form method="post">{faults}{inside}<p><button name="action" value="accept">Accept</button></p></form>'
    soft = '<p class="soft">If you do not know what this is about, close this page: nothing has happened.</p>'
    return page("Accept the invitation?", f"{intro}<ul>{rights}</ul>{form}{soft}", 422 if wrong else 200)


def accepted(email: str, account: str) -> HTMLResponse:
    return page("Welcome", f"<p>{strong(email)} has access to the account {strong(account)} now.</p>")


def missing() -> HTMLResponse:
    text = (
        "This link is damaged, has ended, or was used already. Open it again from the message, whole, or ask whoever "
        "invited you to invite you again."
    )
    return page("Nothing here", f"<p>{text}</p>", 404)


def _person(name: str) -> str:
    most = f'minlength="{LEAST_PASSWORD}" maxlength="{MOST_PASSWORD}"'
    return "".join(
        (
            '<label class="field">Your name<input name="name" autocomplete="name" required '
            f'maxlength="{MOST_NAME}" value="{escape(name)}"></label>',
            f'<label class="field">A password, {LEAST_PASSWORD} characters or more'
            f'<input type="password" name="password" autocomplete="new-password" required {most}></label>',
            '<label class="field">The same password again'
            f'<input type="password" name="password_again" autocomplete="new-password" required {most}></label>',
        )
    )
