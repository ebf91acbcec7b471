"""The nouns of ``mailferry NOUN VERB``: where each is, and what it is for."""

from cyclopts import App

#: Noun -> the module here that has it, and its line in --help. The module, which needs half the house, is imported when
#: its noun is asked for.
NOUNS = {
    "accounts": ("organizations", "Accounts: each has domains, mail and people of its own."),
    "audit": ("audit", "Who changed what, and when."),
    "contacts": ("contacts", "People by their address, with fields and lists."),
    "dns": ("dns", "Your own DNS zone, where you have set [dns] zone."),
    "domains": ("domains", "Sending domains: add, publish the records, verify, approve."),
    "environment": ("environment", "Staging: mail is caught or redirected instead of delivered."),
    "inboxes": ("inboxes", "Inboxes of the sandbox, and what they caught."),
    "invitations": ("invitations", "Invitations that nobody has accepted yet."),
    "keys": ("keys", "Access keys of Amazon SES's API, and its SMTP passwords."),
    "messages": ("messages", "What was accepted, and the whole story of each message."),
    "organizations": ("organizations", "Organizations: several accounts under one roof."),
    "projects": ("inboxes", "Projects, which inboxes of the sandbox are grouped in."),
    "queue": ("queue", "What waits, why, since when and until when."),
    "stats": ("stats", "What became of mail, in numbers."),
    "suppressions": (
        "suppressions",
        "Addresses that are not written to: bounces, unsubscriptions, complaints, imports.",
    ),
    "templates": ("templates", "Templates that messages are rendered from."),
    "tokens": ("tokens", "API tokens, which are the SMTP passwords too."),
    "users": ("users", "People, and what they may do in accounts."),
    "webhooks": ("webhooks", "URLs that are told what happens to mail: deliveries, bounces."),
}


def noun(name: str) -> App:
    """The command that the verbs of ``name`` are added to."""
    return App(name=name, help=NOUNS[name][1], help_format="plaintext")


def register(app: App) -> None:
    for name, (module, help_) in NOUNS.items():
        app.command(f"mailferry.cli.{module}:{name}", name=name, help=help_)
