"""Records, figures, reports and the balance by the provider's Python SDK, unchanged, with both of its clients."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import telnyx

from tests.sdk.conftest import Sdk, Service
from tests.wire import NO_SUCH_ID, TO

HANDSET = "+13125550199"
BATCH = "legacy.reporting.batch_detail_records.messaging"
LEGACY = "legacy.reporting.usage_reports.messaging"
USAGE = "reports.mdr_usage_reports"


@dataclass
class Traffic:
    """A profile of its own, with one message that went out and one that came in."""

    service: Service
    profile_id: str
    number: str
    sent: Any

    def span(self, *names: str) -> dict[str, Any]:
        """The last hour, under the names of its two ends."""
        return dict(zip(names, (self.service.time(hours=-1), self.service.time(seconds=1)), strict=True))


@pytest.fixture
def traffic(service: Service) -> Traffic:
    organization, _ = service.accounts.sandbox()
    profile = service.accounts.profile(organization)
    number = service.accounts.sender(profile, tags=("north",))
    sent = service.tester.send(from_=number, to=TO).data
    service.tester("POST", f"/sandbox/handsets/{HANDSET}/messages", {"to": number, "text": "Hi"})
    service.tester.settle()
    return Traffic(service, profile.id, number, sent)


async def test_detail_records_are_searched(strict_sdk: Sdk, traffic: Traffic) -> None:
    wanted = {"record_type": "messaging", "date_range": "today", "profile_id": traffic.profile_id}
    page = await strict_sdk("detail_records.list", filter=wanted, page_size=1, sort=["created_at"])
    (first,) = page.data
    (second,) = (await Sdk(page)("get_next_page")).data
    assert type(first).__name__ == "MessageDetailRecord"
    assert (first.uuid, first.status, first.cost, first.cld) == (traffic.sent["id"], "delivered", "0.0051", TO)
    assert (second.direction, second.status, second.cli) == ("inbound", "received", HANDSET)
    with pytest.raises(telnyx.BadRequestError):
        await strict_sdk("detail_records.list", filter={"record_type": "messaging", "colour": "red"})


async def test_records_are_listed_in_their_short_form(strict_sdk: Sdk, traffic: Traffic) -> None:
    asked = {"direction": "OUTBOUND", "status": "DELIVERED", "cli": traffic.number, "message_type": "SMS"}
    (record,) = (await strict_sdk("reports.list_mdrs", **asked)).data
    assert (record.id, record.parts, record.cost, record.currency) == (traffic.sent["id"], 1, "0.0051", "USD")


async def test_figures_of_profiles(strict_sdk: Sdk, traffic: Traffic) -> None:
    course = (await strict_sdk("messaging_profiles.retrieve_metrics", traffic.profile_id, time_frame="1h")).data
    assert (course["overview"]["outbound"]["delivered"], course["overview"]["inbound"]["received"]) == (1, 1)
    listed = (await strict_sdk("messaging_profile_metrics.list", time_frame="3h")).data
    assert traffic.profile_id in {each["messaging_profile_id"] for each in listed}
    with pytest.raises(telnyx.BadRequestError):
        await strict_sdk("messaging_profile_metrics.list", time_frame="2h")


async def test_a_usage_report_is_made_read_listed_and_deleted(strict_sdk: Sdk, traffic: Traffic) -> None:
    asked = {"aggregation_type": "PROFILE", "profiles": traffic.profile_id, **traffic.span("start_date", "end_date")}
    made = (await strict_sdk(f"{USAGE}.create", **asked)).data
    traffic.service.tester.settle()
    read = (await strict_sdk(f"{USAGE}.retrieve", made.id)).data
    assert (made.status, read.status, read.aggregation_type) == ("PENDING", "COMPLETE", "PROFILE")
    sums = [(each.direction, each.profile_id, each.sent, each.received) for each in read.result]
    assert sums == [("inbound", traffic.profile_id, "0", "1"), ("outbound", traffic.profile_id, "1", "0")]
    assert (await strict_sdk(f"{USAGE}.list", page_size=1)).data[0].id == made.id
    assert (await strict_sdk(f"{USAGE}.delete", made.id)).data.id == made.id
    with pytest.raises(telnyx.NotFoundError):
        await strict_sdk(f"{USAGE}.retrieve", made.id)


async def test_a_usage_report_at_once(strict_sdk: Sdk, traffic: Traffic) -> None:
    asked = {"aggregation_type": "TAGS", "profiles": [traffic.profile_id, NO_SUCH_ID]}
    report = (await strict_sdk(f"{USAGE}.fetch_sync", **asked, **traffic.span("start_date", "end_date"))).data
    assert (report.status, [each.tags for each in report.result]) == ("COMPLETE", ["north", "north"])


async def test_a_usage_report_in_the_older_form(strict_sdk: Sdk, traffic: Traffic) -> None:
    made = (await strict_sdk(f"{LEGACY}.create", aggregation_type=1, profiles=[traffic.profile_id])).data
    traffic.service.tester.settle()
    read = (await strict_sdk(f"{LEGACY}.retrieve", made.id)).data
    assert (made.status, read.status, read.profiles) == (1, 2, [traffic.profile_id])
    assert [each["sent"] for each in read.result["rows"]] == ["0", "1"]
    assert (await strict_sdk(f"{LEGACY}.list", page=1, per_page=1)).data[0].id == made.id
    assert (await strict_sdk(f"{LEGACY}.delete", made.id)).data.id == made.id


async def test_a_batch_report_is_made_and_its_file_fetched(strict_sdk: Sdk, traffic: Traffic) -> None:
    made = (
        await strict_sdk(
            f"{BATCH}.create",
            **traffic.span("start_time", "end_time"),
            directions=[1, 2],
            record_types=[1, 2],
            profiles=[traffic.profile_id],
            filters=[{"filter_type": "and", "cli": HANDSET, "cli_filter": "contains"}],
            include_message_body=True,
            report_name="Mine",
            timezone="UTC",
        )
    ).data
    traffic.service.tester.settle()
    read = (await strict_sdk(f"{BATCH}.retrieve", made.id)).data
    assert (read.status, read.report_name, read.directions) == ("COMPLETE", "Mine", ["INBOUND", "OUTBOUND"])
    file = traffic.service.tester("GET", urlsplit(read.report_url).path)
    assert (file.status, [line.split(b",")[3] for line in file.body.splitlines()]) == (200, [b"cli", HANDSET.encode()])
    assert read.report_url.startswith(traffic.service.base_url.removesuffix("/v2"))
    assert (await strict_sdk(f"{BATCH}.list")).data[0].id == made.id
    assert (await strict_sdk(f"{BATCH}.delete", made.id)).data.id == made.id


async def test_the_balance(strict_sdk: Sdk, traffic: Traffic) -> None:
    balance = (await strict_sdk("balance.retrieve")).data
    assert (balance.record_type, balance.currency, balance.credit_limit) == ("balance", "USD", "0.00")
    assert float(balance.balance) == float(balance.available_credit) < 0
