"""What docs/ses.md and refusals say of operations that both versions have."""

NO_LINKS = "an address is verified by its domain, and no links to verify one are sent"
NOT_FORWARDED = "nobody is sent mail about bounces: notifications, webhooks and the log tell of them"
OWN_RETURN_PATH = "the return path is the one that the domain's records name"
RIGHTS_DECIDE = "who may send is decided by what a key is granted"
ALWAYS_SIGNED = "mail is signed whatever is set"
PROVEN = "an address is verified when the domain that it lies in is, or one above"
DESTINATIONS = "topics are told, webhooks stand for buses and streams, CloudWatch is /metrics; Pinpoint is kept"
