"""THE way in: every message of every endpoint comes to be here, and nowhere else.

Sender allowed, fields sane, message composed, the environment's rule asked (:mod:`environment`), then one transaction
(:mod:`keep`), and only then does the client hear yes. A refusal is a value; nothing of a refused message is kept.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from mailferry.delivery.job import Job
from mailferry.faults import reach
from mailferry.intake import checks, environment
from mailferry.intake.draft import make_draft
from mailferry.intake.environment import Catch, Way
from mailferry.intake.keep import Draft, Keeper, Kept, Unit, stored_answer
from mailferry.intake.quotas import Quotas, Taking
from mailferry.intake.record import record
from mailferry.intake.refusal import Reason, Refusal
from mailferry.intake.submission import Accepted, KeyReused, Once, Refused, Replayed, Submission
from mailferry.journal.ids import Ids
from mailferry.resources import domains, environments
from mailferry.resources.documents import DocumentBook
from mailferry.resources.domains import Domain, DomainBook
from mailferry.resources.environments import Mode, Rule
from mailferry.resources.system_mail import ENDPOINT as SYSTEM
from mailferry.store.database import Database

#: How many recipients of a batch are gone through between two turns of the event loop, which 500 messages would block.
BREATH = 40
T = TypeVar("T")


class Intake:
    """One for the process; every endpoint is handed it."""

    def __init__(
        self,
        database: Database,
        keeper: Keeper,
        book: DomainBook,
        ids: Ids,
        clock: Callable[[], int],
        limits: checks.Limits,
        quotas: Quotas,
        documents: DocumentBook,
        catch: Catch,
        *,
        simulated: Callable[[str], bool],
        hand_over: Callable[[Sequence[Job]], None],
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._book = book
        self._ids = ids
        self._clock = clock
        self.limits = limits
        self._quotas = quotas
        self._documents = documents
        self._catch = catch
        self._simulated = simulated
        self._hand_over = hand_over
        #: Large messages are composed one after the other: together they would be no faster, and need more memory.
        self._aside = asyncio.Lock()

    async def accept(
        self, submissions: Sequence[Submission], once: Once | None = None
    ) -> list[Accepted | Refused] | Replayed | KeyReused:
        """Results in the order of the submissions; they stand or fall one by one, but are durable together.

        With ``once``, a request that was answered before gets that answer again. Refusals are not kept: a request of
        which nothing was accepted may be mended and sent again under its key.
        """
        if once and (known := await self.known(once)):
            return known
        with self._quotas.taking() as taking:
            ways = await environment.ways(await self._drafts(submissions, taking), self._catch)
            results: list[Accepted | Refused] = [way.told if isinstance(way, Way) else way for way in ways]
            going = tuple(way.draft for way in ways if isinstance(way, Way) and way.draft)
            # What was caught altogether leaves the key alone.
            if going or (once and any(isinstance(way, Way) for way in ways)):
                outcome = await self._keep(Unit(going, once, once.answer(results) if once else ""))
                if not isinstance(outcome, Kept):
                    return outcome
        for submission, way in zip(submissions, ways, strict=True):
            record(submission, way)
        return results

    async def known(self, once: Once) -> Replayed | KeyReused | None:
        """What was answered before under this key; None: it is new."""
        return await self._database.read(lambda connection: stored_answer(connection, once))

    async def sender(self, submission: Submission, domain_name: str) -> Domain | Refusal:
        """The domain that may send this, or why there is none."""
        domain = await self._identity(submission, domain_name)
        if domain is None or (domain.verified_at == 0 and domain.state != domains.DEMO):
            state = "is not verified yet" if domain else "is not a sending domain of this account"
            return Refusal(Reason.SENDER_NOT_ALLOWED, "from", detail=f"{domain_name or 'the empty domain'} {state}")
        if submission.sender_domains is not None and domain.id not in submission.sender_domains:
            return Refusal(Reason.SENDER_NOT_ALLOWED, "from", detail=f"this token may not send as {domain_name}")
        if domain.state == domains.NON_COMPLIANT:
            return Refusal(Reason.SENDER_NOT_ALLOWED, "from", detail=f"{domain_name} was rejected in its review")
        if domain.state == domains.DEMO:
            for recipient in submission.recipients:
                if not self._simulated(recipient.address):
                    return Refusal(Reason.DEMO_RECIPIENT, "to", detail=recipient.address)
        return domain

    async def _identity(self, submission: Submission, domain_name: str) -> Domain | None:
        """The domain itself; where identities are the rule, else the nearest one above it that is verified."""
        domain = await self._book.by_name(submission.account_id, domain_name)
        if submission.publishing is None or (domain and (domain.verified_at or domain.state == domains.DEMO)):
            return domain
        above = domain_name.partition(".")[2]
        while "." in above:
            parent = await self._book.by_name(submission.account_id, above)
            if parent and parent.verified_at:
                return parent
            above = above.partition(".")[2]
        return domain

    async def _drafts(self, submissions: Sequence[Submission], taking: Taking) -> list[Draft | Refused]:
        now = self._clock()
        drafts: list[Draft | Refused] = []
        since = 0
        for submission in submissions:
            drafts.append(await self._draft(submission, now, taking))
            since += 1 + len(submission.recipients)
            if since > BREATH:
                await asyncio.sleep(0)
                since = 0
        return drafts

    async def _draft(self, submission: Submission, now: int, taking: Taking) -> Draft | Refused:
        assert submission.template is None, "templates are rendered before (render.py)"
        large = checks.is_large(submission)
        found = await self._in_thread(lambda: self._look(submission)) if large else self._look(submission)
        if isinstance(found, Refused):
            return found
        domain = await self.sender(submission, found)
        envelope = checks.envelope_domain(submission)
        if isinstance(domain, Domain) and envelope not in ("", found):
            other = await self.sender(submission, envelope)
            domain = domain if isinstance(other, Domain) else replace(other, field="envelope_from")
        if isinstance(domain, Refusal):
            return Refused((domain,))
        rule = await self._rule(submission, domain)
        if isinstance(rule, Refused):
            return rule
        # What Mailferry itself has to say of an account goes out however much the account sends.
        if submission.endpoint != SYSTEM and (
            over := await taking.take(submission.account_id, len(submission.recipients))
        ):
            return Refused((Refusal(over),))
        ids = [self._ids.new() for _ in range(1 + len(submission.recipients))]
        if large:
            draft = await self._in_thread(lambda: make_draft(submission, domain, ids, now))
        else:
            draft = make_draft(submission, domain, ids, now)
        if rule:
            draft = replace(draft, environment=rule)
        if len(draft.body) > self.limits.message:  # quoted-printable and base64 make it larger than its parts
            return Refused((Refusal(Reason.MESSAGE_TOO_LARGE, detail=str(self.limits.message)),))
        return draft

    async def _rule(self, submission: Submission, domain: Domain) -> Rule | Refused | None:
        """What Mailferry itself has to say goes out whatever the environment is."""
        if submission.endpoint == SYSTEM:
            return None
        rule = await environments.known(self._documents, submission.account_id, domain.id)
        if rule and rule.mode is Mode.REDIRECT and domain.state == domains.DEMO:
            return rule if self._simulated(rule.redirect_to) else Refused((Refusal(Reason.DEMO_RECIPIENT, "to"),))
        return rule

    def _look(self, submission: Submission) -> str | Refused:
        """The domain that the sender rule is asked about, or all that is wrong."""
        if refusals := checks.check(submission, self.limits):
            return Refused(refusals)
        return checks.sender_domain(submission)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with self._aside:
            return await asyncio.to_thread(work)

    async def _keep(self, unit: Unit) -> Kept | Replayed | KeyReused:
        octets = sum(len(draft.body) for draft in unit.drafts)
        future = self._database.submit(self._keeper, unit, octets)
        future.add_done_callback(lambda done: self._pass_on(unit, done))
        # A client that goes away must not take the hand-over with it.
        return await asyncio.shield(future)

    def _pass_on(self, unit: Unit, future: "asyncio.Future[Kept | Replayed | KeyReused]") -> None:
        if future.cancelled():
            return
        if future.exception():
            self._keeper.give_back(unit)
            return
        outcome = future.result()
        if isinstance(outcome, Kept) and outcome.jobs:
            reach("in_handoff")
            self._hand_over(outcome.jobs)
