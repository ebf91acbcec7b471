"""What is asked and said in the review of a sending domain. Rows stay when the domain is deleted, as its own row does."""

from sqlalchemy import Table

from mailferry.store.schema.columns import id_, int_, metadata, text_

review_questions = Table(
    "review_questions",
    metadata,
    id_(),
    int_("domain_id", index=True),
    text_("question"),
    text_("answer"),
    int_("asked_at"),
    #: 0 = not yet.
    int_("answered_at"),
)

review_messages = Table(
    "review_messages",
    metadata,
    id_(),
    int_("domain_id", index=True),
    int_("at"),
    #: As in the audit log: user, api_token or operator.
    text_("author_type"),
    text_("author_name"),
    text_("text"),
)
