"""Which carriers a message may go through, and in which order: the policy of routing.

    message --conditions--> the routes that match, in their order
            --weights-----> the carriers of each, drawn by the message's id
            --------------> a plan: every carrier once, the first to be tried first

A plan depends on the routes and on the message alone. Every node finds the same one at every look, so nothing of it
needs to be kept. What is down or refuses for now is passed over by walking the plan (`next_carrier`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from re import compile as regex

import msgspec
import phonenumbers

from heliograph.domain.address import BadAddress, parse_sender
from heliograph.domain.message import MessageType

_PREFIX = regex(r"\+[1-9][0-9]{0,14}")
_SHORT_CODE = regex(r"[0-9]{5,6}")
_SENDER_PREFIX = regex(r"(?:\+[1-9][0-9]{0,14}|[0-9]{1,6}|[A-Za-z0-9 ]{1,11})\*")

_FRACTION_BITS = 53
"""As many as a float holds: with more, the largest would be rounded up to 1."""
_PLANS_KEPT = 4096
"""Which routes match together is remembered; these are as many kinds of messages as a day sees, and a bound."""


CONDITIONS = ("to", "countries", "from", "profiles", "type")
"""What people know the conditions of a route by."""


@dataclass(frozen=True, slots=True)
class Share:
    """A carrier of a route, and its weight against the other carriers there; more than 0."""

    carrier: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Carriers for the messages that meet every condition; an empty condition is met by all."""

    name: str
    carriers: tuple[Share, ...]
    to: tuple[str, ...] = ()
    """Beginnings of E.164 numbers, with their plus, and whole short codes."""
    countries: tuple[str, ...] = ()
    """ISO 3166 alpha-2, of the recipient."""
    senders: tuple[str, ...] = ()
    """Whole senders, and beginnings of senders with a `*` after them."""
    profiles: tuple[str, ...] = ()
    """Ids of messaging profiles."""
    type: MessageType | None = None

    def conditions(self) -> dict[str, tuple[str, ...]]:
        """Those that it has, by the names that people know them by."""
        types = (self.type.value,) if self.type else ()
        of_each = (self.to, self.countries, self.senders, self.profiles, types)
        return {name: wanted for name, wanted in zip(CONDITIONS, of_each, strict=True) if wanted}

    def __str__(self) -> str:
        """For people: `to +1 +44, type MMS: one 3, two 1`."""
        conditions = ", ".join(f"{name} {' '.join(wanted)}" for name, wanted in self.conditions().items())
        carriers = ", ".join(f"{share.carrier} {share.weight:g}" for share in self.carriers)
        return f"{conditions or 'all'}: {carriers}"


class RouteQuery(msgspec.Struct, frozen=True, gc=False):
    """What routes ask of a message. An empty text is what is not known: it meets no condition."""

    recipient: str
    country: str | None = None
    sender: str = ""
    profile_id: str = ""
    type: MessageType = MessageType.SMS
    fraction: float = 0.0
    """From [0, 1): what decides between the carriers of a route (`fraction_of`)."""


def is_destination(text: str) -> bool:
    """Whether it can stand in `Route.to`."""
    return bool(_PREFIX.fullmatch(text) or _SHORT_CODE.fullmatch(text))


def is_sender(text: str) -> bool:
    """Whether it can stand in `Route.senders`."""
    if text.endswith("*"):
        return _SENDER_PREFIX.fullmatch(text) is not None
    try:
        parse_sender(text)
    except BadAddress:
        return False
    return True


def is_country(text: str) -> bool:
    """Whether it can stand in `Route.countries`."""
    return text in phonenumbers.SUPPORTED_REGIONS


def in_order(carriers: Iterable[str]) -> tuple[Route, ...]:
    """The routes where none are set: the first carrier takes everything, the others are its fail-over."""
    return tuple(Route(name=each, carriers=(Share(each),)) for each in carriers)


def fraction_of(message_id: str) -> float:
    """What decides for this message, evenly from [0, 1).

    It is a hash, as ids of one process and millisecond lie close together.
    """
    digest = blake2b(message_id.encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 64 - _FRACTION_BITS) / (1 << _FRACTION_BITS)


def next_carrier(plan: Sequence[str], current: str | None, usable: Collection[str]) -> str | None:
    """The first usable carrier of a plan after the current one, and from the beginning again; None when none is.

    The current one is the last to be asked. Without one, or with one that is not in the plan any more, it is the first
    usable of all.
    """
    start = plan.index(current) + 1 if current in plan else 0
    return next((each for each in (*plan[start:], *plan[:start]) if each in usable), None)


# ------------------------------------------------------------------------------------------------------------ the table


class RoutingTable:
    """Routes, made ready to be asked for every message: what a plan costs does not grow with their number."""

    def __init__(self, routes: Sequence[Route], mms: Collection[str]) -> None:
        """`mms` are the carriers that can carry MMS."""
        self.routes = tuple(routes)
        self._mms = frozenset(mms)
        # Each condition knows, by what a message has, the set of routes that it lets through: bit n is route n.
        self._to = _Beginnings([_by_prefix(each.to) for each in routes])
        self._senders = _Beginnings([each.senders for each in routes])
        self._countries = _Words([each.countries for each in routes])
        self._profiles = _Words([each.profiles for each in routes])
        self._types = _Words([(each.type,) if each.type else () for each in routes])
        self._stages: dict[tuple[int, MessageType], tuple[tuple[Share, ...], ...]] = {}

    def plan(self, query: RouteQuery) -> tuple[str, ...]:
        """The carriers for a message, the first to be tried first; none when no route matches."""
        return _drawn(self.stages(query), query.fraction)

    def stages(self, query: RouteQuery) -> tuple[tuple[Share, ...], ...]:
        """The carriers of each matching route, in order, before weights decide; without those named before.

        For an MMS, carriers that cannot carry one are left out, unless there are no others.
        """
        matching = (
            self._to.matching(query.recipient)
            & self._countries.matching(query.country)
            & self._types.matching(query.type)
            & self._profiles.matching(query.profile_id)
            & self._senders.matching(query.sender)
        )
        found = self._stages.get((matching, query.type))
        if found is None:
            if len(self._stages) >= _PLANS_KEPT:
                self._stages.clear()
            found = self._stages[matching, query.type] = self._staged(matching, query.type)
        return found

    def _staged(self, matching: int, message_type: MessageType) -> tuple[tuple[Share, ...], ...]:
        stages = list(_without_repeats(each for bit, each in enumerate(self.routes) if matching >> bit & 1))
        if message_type is MessageType.MMS:
            able = [tuple(share for share in stage if share.carrier in self._mms) for stage in stages]
            stages = able if any(able) else stages
        return tuple(stage for stage in stages if stage)

    def explain(self, query: RouteQuery) -> list["Verdict"]:
        """What each route, in order, makes of a message."""
        staged = {share.carrier for stage in self.stages(query) for share in stage}
        seen: set[str] = set()
        verdicts = []
        for route in self.routes:
            mismatch = next(_mismatches(route, query), None)
            if mismatch is not None:
                verdicts.append(Verdict(route, mismatch, ()))
                continue
            left_out = {share.carrier: _why_left_out(share.carrier, staged, seen) for share in route.carriers}
            verdicts.append(Verdict(route, None, _considered(route.carriers, left_out)))
            seen.update(left_out)
        return verdicts


class _Words:
    """The routes that want one of some words, and those that want none, as bits."""

    def __init__(self, wanted: Sequence[Sequence[str]]) -> None:
        self._any = sum(1 << bit for bit, words in enumerate(wanted) if not words)
        self._routes: dict[str, int] = {}
        for bit, words in enumerate(wanted):
            for word in words:
                self._routes[word] = self._routes.get(word, self._any) | 1 << bit

    def matching(self, word: str | None) -> int:
        return self._routes.get(word, self._any) if word else self._any


class _Beginnings:
    """The routes that want one of some texts; one that ends in `*` stands for all that begin with what is before."""

    def __init__(self, wanted: Sequence[Sequence[str]]) -> None:
        self._any = sum(1 << bit for bit, texts in enumerate(wanted) if not texts)
        self._whole: dict[str, int] = {}
        self._beginnings: dict[str, int] = {}
        for bit, texts in enumerate(wanted):
            for text in texts:
                routes = self._beginnings if text.endswith("*") else self._whole
                key = text.removesuffix("*")
                routes[key] = routes.get(key, 0) | 1 << bit
        self._lengths = tuple({len(each) for each in self._beginnings})

    def matching(self, text: str) -> int:
        found = self._any | self._whole.get(text, 0)
        for length in self._lengths:
            # A text that is shorter gives itself: at worst the same beginning again.
            found |= self._beginnings.get(text[:length], 0)
        return found


def _by_prefix(to: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{each}*" if each.startswith("+") else each for each in to)


def _without_repeats(routes: Iterable[Route]) -> Iterator[tuple[Share, ...]]:
    seen: set[str] = set()
    for route in routes:
        stage = tuple(share for share in route.carriers if share.carrier not in seen)
        seen.update(share.carrier for share in stage)
        yield stage


def _drawn(stages: Sequence[Sequence[Share]], fraction: float) -> tuple[str, ...]:
    """One draw after another from the same fraction: what a draw leaves of it is even again, and decides the next."""
    plan = []
    for stage in stages:
        left = list(stage)
        while len(left) > 1:
            index, fraction = _draw(left, fraction)
            plan.append(left.pop(index).carrier)
        plan.append(left[0].carrier)
    return tuple(plan)


def _draw(shares: Sequence[Share], fraction: float) -> tuple[int, float]:
    """Which of them, and what is left of the fraction, from [0, 1)."""
    mark = fraction * sum(share.weight for share in shares)
    for index, share in enumerate(shares):
        if mark < share.weight:
            return index, mark / share.weight
        mark -= share.weight
    return len(shares) - 1, 0.0  # a sum that was rounded up


# ------------------------------------------------------------------------------------------------------------ in words


@dataclass(frozen=True, slots=True)
class Considered:
    """A carrier of a route that matches."""

    carrier: str
    weight: float
    share: float
    """How much of the messages that reach this route it gets first, from 0 to 1."""
    left_out: str | None
    """Why this route does not give it the message, in words; None where it may."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a route makes of a message."""

    route: Route
    mismatch: str | None
    """The first condition that is not met, in words; None where the route matches."""
    carriers: tuple[Considered, ...]
    """Those of a route that matches."""


def _mismatches(route: Route, query: RouteQuery) -> Iterator[str]:
    """Conditions that are not met, in the order in which the settings list them."""
    if route.to and not any(_fits(each, query.recipient) for each in _by_prefix(route.to)):
        yield f"to: {query.recipient} is not among {', '.join(route.to)}"
    if route.countries and query.country not in route.countries:
        where = query.country or f"{query.recipient}, which belongs to no country,"
        yield f"countries: {where} is not among {', '.join(route.countries)}"
    if route.senders and not any(_fits(each, query.sender) for each in route.senders):
        sender = query.sender or "a sender that is not told"
        yield f"from: {sender} is not among {', '.join(route.senders)}"
    if route.profiles and query.profile_id not in route.profiles:
        profile = query.profile_id or "a profile that is not told"
        yield f"profiles: {profile} is not among {', '.join(route.profiles)}"
    if route.type and query.type is not route.type:
        yield f"type: {query.type} is not {route.type}"


def _fits(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _why_left_out(carrier: str, staged: Collection[str], seen: Collection[str]) -> str | None:
    if carrier in seen:
        return "named by an earlier route"
    return None if carrier in staged else "cannot carry MMS"


def _considered(shares: Sequence[Share], left_out: Mapping[str, str | None]) -> tuple[Considered, ...]:
    total = sum(share.weight for share in shares if left_out[share.carrier] is None)
    return tuple(
        Considered(share.carrier, share.weight, 0.0 if why else share.weight / total, why)
        for share in shares
        for why in (left_out[share.carrier],)
    )
