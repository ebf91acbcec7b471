"""The report on one document: what was found, who supports it, and how much that weighs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mailferry.sandbox.checks.html import css_rules, markup_rules
from mailferry.sandbox.checks.html.document import read
from mailferry.sandbox.checks.html.found import Finding
from mailferry.sandbox.checks.html.stylesheet import Reader
from mailferry.sandbox.checks.html.support import Client, Data, Feature, Support, Verdict

#: Ours: a judgement and no measurement of anybody's market. Families in which much of the world's mail is read count
#: more than one, all others one. Whoever knows their own recipients gives their own weights.
WEIGHTS: Mapping[str, float] = {"apple-mail": 4, "gmail": 4, "outlook": 4, "yahoo": 2}
OTHERS = 1.0

#: The only client that knows conditional comments.
CONDITIONAL = Client("outlook", "windows")


@dataclass(frozen=True, slots=True)
class Shares:
    """Percent of what is known; they sum up to 100, unless nothing is known: then all are 0."""

    supported: float
    partial: float
    unsupported: float

    @property
    def percent(self) -> float:
        """Partial support counts half."""
        return round(self.supported + self.partial / 2, 1)


@dataclass(frozen=True, slots=True)
class FeatureReport:
    feature: Feature
    finding: Finding
    #: Of all clients, by weight.
    shares: Shares
    #: By the newest version of each client.
    newest: Mapping[Client, Verdict]


@dataclass(frozen=True, slots=True)
class ClientReport:
    client: Client
    #: Of the features that were found.
    shares: Shares
    #: By version: of those that were tested in it.
    versions: Mapping[str, Shares]


@dataclass(frozen=True, slots=True)
class FamilyReport:
    family: str
    weight: float
    #: Each platform alike.
    shares: Shares
    clients: tuple[ClientReport, ...]


@dataclass(frozen=True, slots=True)
class HtmlReport:
    data: Data
    shares: Shares
    families: tuple[FamilyReport, ...]
    #: Least supported first.
    features: tuple[FeatureReport, ...]
    #: A sentence for each thing that was not read.
    limits: tuple[str, ...]


def report(document: str, data: Data, weights: Mapping[str, float] = WEIGHTS) -> HtmlReport:
    """Reads the document. CPU only, for milliseconds (a hostile one: seconds); callers keep it off their event loop."""
    done = read(document, reader(data), frozenset(data.features))
    features = [_feature_report(data.features[slug], finding, weights) for slug, finding in done.findings.items()]
    features.sort(key=lambda each: (each.shares.percent, each.feature.slug))
    families = _family_reports(features, weights)
    return HtmlReport(
        data=data,
        shares=_mean((family.shares, family.weight) for family in families),
        families=families,
        features=tuple(features),
        limits=done.limits,
    )


def reader(data: Data) -> Reader:
    named = ((each.slug, css_rules.own_property(each.slug, each.title)) for each in data.features.values())
    return Reader((slug, name) for slug, name in named if name)


def unread(data: Data) -> tuple[str, ...]:
    """Features of which nothing here knows how they look."""
    return tuple(
        slug
        for slug, feature in data.features.items()
        if not css_rules.is_read(slug, feature.title) and not markup_rules.is_read(slug)
    )


def is_hidden(finding: Finding, client: Client) -> bool:
    """Whether that client sees nothing of it."""
    return client == CONDITIONAL and finding.hidden_from_outlook


def _feature_report(feature: Feature, finding: Finding, weights: Mapping[str, float]) -> FeatureReport:
    newest = {client: verdicts[-1] for client, verdicts in feature.verdicts.items() if not is_hidden(finding, client)}
    known = [client for client, verdict in newest.items() if verdict.support != Support.UNKNOWN]
    platforms = _counted(client.family for client in known)
    shares = _mean(
        (_shares([newest[client].support]), _weight(client.family, weights) / platforms[client.family])
        for client in known
    )
    return FeatureReport(feature, finding, shares, newest)


def _family_reports(features: list[FeatureReport], weights: Mapping[str, float]) -> tuple[FamilyReport, ...]:
    clients = sorted({client for each in features for client in each.newest})
    families: dict[str, list[ClientReport]] = {}
    for client in clients:
        families.setdefault(client.family, []).append(_client_report(client, features))
    return tuple(
        FamilyReport(family, _weight(family, weights), _mean((each.shares, 1) for each in reports), tuple(reports))
        for family, reports in families.items()
    )


def _client_report(client: Client, features: list[FeatureReport]) -> ClientReport:
    versions: dict[str, list[Support]] = {}
    for each in features:
        if client in each.newest:
            for verdict in each.feature.verdicts[client]:
                versions.setdefault(verdict.version, []).append(verdict.support)
    return ClientReport(
        client,
        _shares([each.newest[client].support for each in features if client in each.newest]),
        {version: _shares(supports) for version, supports in sorted(versions.items())},
    )


def _weight(family: str, weights: Mapping[str, float]) -> float:
    return weights.get(family, OTHERS)


def _counted(words: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def _shares(supports: list[Support]) -> Shares:
    known = [support for support in supports if support != Support.UNKNOWN]
    if not known:
        return Shares(0, 0, 0)
    of = 100 / len(known)
    return Shares(known.count(Support.FULL) * of, known.count(Support.PARTIAL) * of, known.count(Support.NONE) * of)


def _mean(weighted: Iterable[tuple[Shares, float]]) -> Shares:
    """Of those of which anything is known."""
    known = [(shares, weight) for shares, weight in weighted if shares != Shares(0, 0, 0)]
    total = sum(weight for _, weight in known)
    if not total:
        return Shares(0, 0, 0)
    return Shares(
        sum(shares.supported * weight for shares, weight in known) / total,
        sum(shares.partial * weight for shares, weight in known) / total,
        sum(shares.unsupported * weight for shares, weight in known) / total,
    )
