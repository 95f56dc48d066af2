"""Makes reports of messages, page by page: a file is never held as a whole.

A report is no snapshot: of a message that moves on while it is made, it says what was so when its page was read.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from heliograph.domain.instant import MILLISECOND, SECOND, Instant
from heliograph.domain.pricing import amount_text
from heliograph.domain.reports import (
    Aggregation,
    DetailWish,
    NumberFilter,
    Record,
    UsageRow,
    UsageWish,
    csv_line,
    usage_rows,
)
from heliograph.jobs.runner import Done
from heliograph.store.between import Between
from heliograph.store.jobs import Job
from heliograph.store.store import Store
from heliograph.store.traffic import BOTH, Condition, RecordFilter

PAGE = 1_000
"""Records that are read, and written, at once."""
COLUMNS = (
    "id",
    "direction",
    "message_type",
    "cli",
    "cld",
    "status",
    "errors",
    "parts",
    "rate",
    "carrier_fee",
    "cost",
    "currency",
    "profile_id",
    "profile_name",
    "carrier",
    "country_code",
    "tags",
    "created_at",
    "sent_at",
    "completed_at",
)
BODY = "message_body"

_detail_wish = msgspec.json.Decoder(DetailWish).decode
_usage_wish = msgspec.json.Decoder(UsageWish).decode
_encode = msgspec.json.Encoder().encode


async def make_detail_report(store: Store, job: Job) -> Done:
    """Every record that is wanted as a line of CSV, oldest first."""
    wish = _detail_wish(job.wish)
    records, zone = _wanted(wish), ZoneInfo(wish.timezone)
    header = [*COLUMNS, BODY] if wish.include_message_body else COLUMNS
    lines, last, number, count = [csv_line(header)], None, 0, 0
    while True:
        found, last = await store.traffic.after(job.organization_id, records, last, PAGE)
        lines += [csv_line(_values(each, zone, body=wish.include_message_body)) for each in found]
        await store.jobs.write_page(job, number, "".join(lines))
        count += len(found)
        if last is None:
            return Done(_encode({"records": count}))
        lines, number = [], number + 1


async def make_usage_report(store: Store, job: Job) -> Done:
    """What the messages of some profiles, or of all, add up to; the same lines as a result and as a file."""
    wish = _usage_wish(job.wish)
    records = RecordFilter.of(Between(wish.first, wish.last), wish.profiles)
    by_tags = wish.aggregation is Aggregation.TAGS
    rows = usage_rows(
        await store.traffic.usage(job.organization_id, records, by_tags=by_tags, patience=None), wish.aggregation
    )
    names = UsageRow.__struct_fields__
    lines = [csv_line(names), *(csv_line(getattr(each, name) for name in names) for each in rows)]
    await store.jobs.write_page(job, 0, "".join(lines))
    return Done(_encode(rows))


def _wanted(wish: DetailWish) -> RecordFilter:
    conditions = [Condition("record_type", "in", list(wish.record_types))] if wish.record_types else []
    if wish.profiles:
        conditions.append(Condition("profile_id", "in", list(wish.profiles)))
    both: list[Condition] = []
    others = []
    for each in wish.filters:
        if each.filter_type == "and":
            both += _conditions(each)
        else:
            others.append(_conditions(each))
    any_of = [both, *others] if wish.filters else []
    return RecordFilter(Between(wish.first, wish.last), wish.directions or BOTH, conditions, any_of)


def _conditions(wanted: NumberFilter) -> list[Condition]:
    found = []
    if wanted.cli:
        found.append(Condition("cli", wanted.cli_filter or "eq", wanted.cli))
    if wanted.cld:
        found.append(Condition("cld", wanted.cld_filter or "eq", wanted.cld))
    if wanted.tags_list:
        found.append(Condition("tags", "eq", wanted.tags_list))
    return found


def _values(record: Record, zone: ZoneInfo, *, body: bool) -> list[object]:
    values: list[object] = [
        record.id,
        record.direction,
        record.type,
        record.sender,
        record.recipient,
        record.status,
        " ".join(record.errors),
        record.parts,
        amount_text(record.each_part(record.rate), 5),
        amount_text(record.carrier_fee, 5),
        amount_text(record.cost, 4),
        record.currency,
        record.profile_id,
        record.profile_name,
        record.carrier,
        record.country,
        ",".join(record.tags),
        _time(record.created_at, zone),
        _time(record.sent_at, zone),
        _time(record.completed_at, zone),
    ]
    return [*values, record.text] if body else values


def _time(instant: Instant | None, zone: ZoneInfo) -> str | None:
    """With the offset of the zone at that moment."""
    if instant is None:
        return None
    seconds, micros = divmod(instant, SECOND)
    moment = datetime.fromtimestamp(seconds, zone).replace(microsecond=micros - micros % MILLISECOND)
    return moment.isoformat(timespec="milliseconds")
