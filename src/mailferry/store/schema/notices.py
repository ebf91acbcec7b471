"""What Mailferry has to say to those who keep an account, until it is said (consumers/notices)."""

from sqlalchemy import Table

from mailferry.store.schema.columns import id_, int_, metadata, text_

notices = Table(
    "notices",
    metadata,
    id_(),
    int_("account_id"),
    #: 0 = it is about no domain.
    int_("domain_id"),
    #: resources/notices.py.
    text_("kind"),
    #: JSON.
    text_("facts", "{}"),
    int_("at"),
    # A number names one mail for ever: it is part of the key under which the mail is accepted once.
    sqlite_autoincrement=True,
)
