"""Every operation of Amazon's dialect, once: what it does here, who may call it, and its function.

An operation of the model without a function is answered by a clear refusal; docs/ses.md is made from this table.
"""

from collections.abc import Mapping

from mailferry.endpoints.ses import sns_subscriptions, sns_topics, sts, table_v1, table_v2
from mailferry.endpoints.ses.model import service
from mailferry.endpoints.ses.operation import May, Op, refused

_SNS: dict[str, Op] = {
    "ConfirmSubscription": Op(sns_subscriptions.confirm),
    "CreateTopic": Op(sns_topics.create),
    "DeleteTopic": Op(sns_topics.delete),
    "GetSubscriptionAttributes": Op(sns_subscriptions.get_attributes, May.READ_ALL),
    "GetTopicAttributes": Op(sns_topics.get_attributes, May.READ_ALL),
    "ListSubscriptions": Op(sns_subscriptions.get_list, May.READ_ALL),
    "ListSubscriptionsByTopic": Op(sns_subscriptions.list_by_topic, May.READ_ALL),
    "ListTagsForResource": Op(sns_topics.list_tags, May.READ_ALL),
    "ListTopics": Op(sns_topics.get_list, May.READ_ALL),
    "Publish": Op(sns_topics.publish),
    "SetSubscriptionAttributes": Op(
        sns_subscriptions.set_attributes, remark="filter policies are kept and not applied"
    ),
    "SetTopicAttributes": Op(sns_topics.set_attributes),
    "Subscribe": Op(sns_subscriptions.subscribe, remark="protocols http and https"),
    "TagResource": Op(sns_topics.tag),
    "Unsubscribe": Op(sns_subscriptions.unsubscribe),
    "UntagResource": Op(sns_topics.untag),
}
_STS: dict[str, Op] = {
    "GetCallerIdentity": Op(sts.get_caller_identity, May.ANY),
}

TABLE: Mapping[str, Mapping[str, Op]] = {
    "ses": {name: table_v1.OPERATIONS.get(name, refused("not there yet")) for name in service("ses").operations},
    "sesv2": {name: table_v2.OPERATIONS.get(name, refused("not there yet")) for name in service("sesv2").operations},
    "sns": _SNS,
    "sts": _STS,
}
