"""`/10dlc` over HTTP: brands, campaigns, their numbers, and what they do to messages."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from heliograph.domain.accounts import NumberPool
from tests.api.conftest import on_one_database
from tests.wire import NO_SUCH_ID, TO, TOLL_FREE, Accounts, Answer, Caller, later, on_sqlite

GIVEN = {
    "entityType": "PRIVATE_PROFIT",
    "displayName": "ABC Mobile",
    "companyName": "ABC Inc.",
    "country": "US",
    "email": "name@example.com",
    "vertical": "TECHNOLOGY",
    "webhookURL": "https://example.com/hooks",
}
NO_NUMBER = "+13125559999"
BRANDS, CAMPAIGNS, NUMBERS = "/v2/10dlc/brand", "/v2/10dlc/campaign", "/v2/10dlc/phone_number_campaigns"
_NAMES = count()


def taken(answer: Answer) -> Any:
    """The body of an answer with 200."""
    assert answer.status == 200, answer.body
    return answer.json


def brand(call: Caller, **given: Any) -> Any:
    return taken(call("POST", BRANDS, {**GIVEN, **given}))


def build(call: Caller, brand_id: str | None, **given: Any) -> Answer:
    body = {"brandId": brand_id, "description": "News", "usecase": "MARKETING", "sample1": "Sale! Reply STOP to end."}
    return call("POST", "/v2/10dlc/campaignBuilder", {**body, **given})


def campaign(call: Caller, **given: Any) -> Any:
    """A campaign of a new brand."""
    return taken(build(call, brand(call)["brandId"], **given))


def assign(call: Caller, number: str, campaign_id: str) -> Answer:
    return call("POST", NUMBERS, {"phoneNumber": number, "campaignId": campaign_id})


def sent(call: Caller, number: str) -> tuple[str | None, bool, str | None]:
    """What a new message of a number shows of its campaign."""
    message = call.read(call.send(from_=number).data["id"])
    return message["tcr_campaign_id"], message["tcr_campaign_billable"], message["tcr_campaign_registered"]


@pytest.fixture
def number(accounts: Accounts) -> str:
    """A long code of the caller's."""
    return accounts.sender(accounts.sandbox()[1])


# ------------------------------------------------------------------------------------------------------------- brands


def test_a_brand_is_registered_at_once(call: Caller) -> None:
    made = brand(call, ein="123456789", website="")
    assert {name: made[name] for name in GIVEN} == GIVEN
    assert (made["status"], made["identityStatus"], made["ein"]) == ("OK", "VERIFIED", "123456789")
    assert "website" not in made
    read = taken(call("GET", f"{BRANDS}/{made['brandId']}"))
    assert read == {**made, "assignedCampaignsCount": 0}
    assert taken(call("GET", f"{BRANDS}/{made['tcrBrandId']}")) == read


def test_a_brand_keeps_what_a_change_does_not_name(call: Caller) -> None:
    made = brand(call, mobilePhone="+12024567890", city="Chicago", street="1 Main Street")
    needed = {name: GIVEN[name] for name in ("entityType", "country", "email", "vertical")}
    given = {**needed, "displayName": "New", "city": None, "street": "", "identityStatus": "UNVERIFIED"}
    changed = taken(call("PUT", f"{BRANDS}/{made['brandId']}", given))
    assert (changed["displayName"], changed["identityStatus"]) == ("New", "UNVERIFIED")
    assert (changed["mobilePhone"], changed["companyName"]) == ("+12024567890", "ABC Inc.")
    assert {"city", "street"} & set(changed) == set()
    assert build(call, made["brandId"]).refusal == (400, "10015", "/brandId")


@on_one_database
@pytest.mark.parametrize(
    ("given", "status", "code", "pointer"),
    [
        ({"displayName": None}, 400, "10004", "/displayName"),
        ({"displayName": 7}, 400, "10026", "/displayName"),
        ({"companyName": ""}, 400, "10004", "/companyName"),
        ({"vertical": "SPAM"}, 400, "10032", "/vertical"),
        ({"email": "nobody"}, 400, "10019", "/email"),
        ({"phone": "123"}, 400, "10016", "/phone"),
    ],
)
def test_a_bad_brand_is_refused_by_its_field(
    call: Caller, given: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    made = brand(call)
    assert call("POST", BRANDS, {**GIVEN, **given}).refusal == (status, code, pointer)
    assert call("PUT", f"{BRANDS}/{made['brandId']}", {**GIVEN, **given}).refusal == (status, code, pointer)


def test_a_brand_with_active_campaigns_cannot_be_deleted(call: Caller) -> None:
    made = campaign(call)
    path = f"{BRANDS}/{made['brandId']}"
    refused = call("DELETE", path)
    assert (refused.status, refused.error["code"], refused.error["title"]) == (400, "40332", "Brand cannot be deleted")
    taken(call("DELETE", f"{CAMPAIGNS}/{made['campaignId']}"))
    assert (call("DELETE", path).status, call("GET", path).status) == (204, 404)


def test_brands_are_listed_in_pages(call: Caller) -> None:
    name = f"Paged {next(_NAMES)}"
    ids = [brand(call, displayName=name, state=state)["brandId"] for state in ("NY", "CA", "NY")]
    path = f"{BRANDS}?displayName={name.replace(' ', '+')}"
    newest = taken(call("GET", f"{path}&recordsPerPage=2"))
    assert (newest["page"], newest["totalRecords"]) == (1, 3)
    assert [each["brandId"] for each in newest["records"]] == [ids[2], ids[1]]
    assert newest["records"][0]["assignedCampaingsCount"] == 0
    second = taken(call("GET", f"{path}&recordsPerPage=2&page=2"))
    assert [each["brandId"] for each in second["records"]] == [ids[0]]
    some = taken(call("GET", f"{path}&state=NY&sort=createdAt&entityType=PRIVATE_PROFIT"))
    assert [each["brandId"] for each in some["records"]] == [ids[0], ids[2]]


@on_one_database
@pytest.mark.parametrize(
    ("path", "parameter", "code"),
    [
        (f"{BRANDS}?page=0", "page", "10015"),
        (f"{BRANDS}?recordsPerPage=251", "recordsPerPage", "10015"),
        (f"{BRANDS}?sort=name", "sort", "10015"),
        (f"{BRANDS}?entityType=COMPANY", "entityType", "10031"),
        (f"{BRANDS}?displayName=%00", "displayName", "10031"),
        (CAMPAIGNS, "brandId", "10004"),
        (f"{CAMPAIGNS}?brandId=x&sort=-brandId", "sort", "10015"),
        (f"{NUMBERS}?filter[name]=x", "filter[name]", "10031"),
        (f"{NUMBERS}?sort=x", "sort", "10015"),
    ],
)
def test_a_bad_list_is_refused_by_its_parameter(call: Caller, path: str, parameter: str, code: str) -> None:
    refused = call("GET", path)
    assert (refused.status, refused.error["code"], refused.error["source"]) == (400, code, {"parameter": parameter})


# ---------------------------------------------------------------------------------------------------------- campaigns


def test_a_campaign_is_active_at_once(call: Caller) -> None:
    given = {"usecase": "MIXED", "subUsecases": ["2FA", "MARKETING"], "sample2": "1234", "numberPool": True}
    made = campaign(call, **given, referenceId=f"mine-{next(_NAMES)}", termsAndConditions=True, tag=["a"], mnoIds=[1])
    assert {name: made[name] for name in given} == given
    assert (made["status"], made["campaignStatus"], made["submissionStatus"]) == (
        "ACTIVE",
        "MNO_PROVISIONED",
        "CREATED",
    )
    assert (made["brandDisplayName"], made["vertical"]) == (GIVEN["displayName"], GIVEN["vertical"])
    assert taken(call("GET", f"{CAMPAIGNS}/{made['campaignId']}")) == made
    assert taken(call("GET", f"{CAMPAIGNS}/{made['tcrCampaignId']}")) == made
    listed = taken(call("GET", f"{CAMPAIGNS}?brandId={made['brandId']}"))
    assert listed == {"page": 1, "records": [{**made, "assignedPhoneNumbersCount": 0}], "totalRecords": 1}
    assert build(call, made["brandId"], referenceId=made["referenceId"]).refusal == (409, "10012", "/referenceId")


@on_one_database
@pytest.mark.parametrize(
    ("given", "status", "code", "pointer"),
    [
        ({"brandId": NO_SUCH_ID}, 422, "10017", "/brandId"),
        ({"brandId": "\0"}, 422, "10017", "/brandId"),
        ({"brandId": None}, 400, "10004", "/brandId"),
        ({"description": ""}, 400, "10004", "/description"),
        ({"usecase": "SPAM"}, 400, "10032", "/usecase"),
        ({"sample1": None}, 400, "10004", "/sample1"),
        ({"subUsecases": "2FA"}, 400, "10026", "/subUsecases"),
    ],
)
def test_a_bad_campaign_is_refused_by_its_field(
    call: Caller, given: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    assert build(call, brand(call)["brandId"], **given).refusal == (status, code, pointer)


def test_samples_can_be_changed_and_a_campaign_that_has_ended_cannot(call: Caller) -> None:
    made = campaign(call)
    path = f"{CAMPAIGNS}/{made['campaignId']}"
    changed = taken(call("PUT", path, {"sample2": "Another", "autoRenewal": False, "usecase": "2FA"}))
    assert changed == {**made, "sample2": "Another", "autoRenewal": False}
    assert call("PUT", path, {"sample1": ""}).refusal == (400, "10004", "/sample1")
    assert call("PUT", path, {"sample1": "x" * 256}).refusal == (400, "10025", "/sample1")
    ended = taken(call("DELETE", path))
    assert ended["record_type"] == "campaign"
    assert taken(call("DELETE", path)) == ended
    assert (taken(call("GET", path))["status"], taken(call("GET", path))["campaignStatus"]) == (
        "EXPIRED",
        "TCR_EXPIRED",
    )
    assert call("PUT", path, {"sample2": "x"}).refusal == (403, "10035", "/campaignId")


# ------------------------------------------------------------------------------------------------------------ numbers


def test_messages_of_an_assigned_number_show_its_campaign(call: Caller, number: str) -> None:
    made = campaign(call)
    assert sent(call, number) == (None, False, None)
    assigned = taken(assign(call, number, made["campaignId"]))
    assert (assigned["phoneNumber"], assigned["assignmentStatus"]) == (number, "ASSIGNED")
    assert (assigned["tcrCampaignId"], assigned["brandId"]) == (made["tcrCampaignId"], made["brandId"])
    assert taken(assign(call, number, made["tcrCampaignId"])) == assigned
    assert sent(call, number) == (made["tcrCampaignId"], True, "REGISTERED")
    assert taken(call("GET", f"{NUMBERS}/{number}")) == assigned
    gone = taken(call("DELETE", f"{NUMBERS}/{number}"))
    assert gone == {**assigned, "assignmentStatus": "PENDING_UNASSIGNMENT"}
    assert sent(call, number) == (None, False, None)
    assert call("DELETE", f"{NUMBERS}/{number}").refusal == (404, "10005", "/phoneNumber")


def test_a_message_that_came_in_shows_it_too(call: Caller, number: str) -> None:
    made = campaign(call)
    taken(assign(call, number, made["campaignId"]))
    written = call("POST", "/sandbox/handsets/+17735550100/messages", {"to": number, "text": "Hello"}).data
    assert call.read(written["id"])["tcr_campaign_id"] == made["tcrCampaignId"]


def test_the_end_of_a_campaign_is_the_end_for_its_numbers(call: Caller, number: str) -> None:
    made = campaign(call)
    taken(assign(call, number, made["campaignId"]))
    scheduled = call.send(from_=number, send_at=call.time(hours=1)).data
    taken(call("DELETE", f"{CAMPAIGNS}/{made['campaignId']}"))
    assert sent(call, number) == (None, False, None)
    assert call("GET", f"{NUMBERS}/{number}").refusal == (404, "10005", "/phoneNumber")
    assert call.read(scheduled["id"])["tcr_campaign_id"] == made["tcrCampaignId"]
    assert assign(call, number, made["campaignId"]).refusal == (400, "10015", "/campaignId")


def test_a_number_is_moved_by_put(call: Caller, number: str) -> None:
    one, other = campaign(call), campaign(call)

    def put(campaign_id: str, in_body: str = number) -> Answer:
        return call("PUT", f"{NUMBERS}/{number}", {"phoneNumber": in_body, "campaignId": campaign_id})

    assert put(one["campaignId"]).refusal == (404, "10005", "/phoneNumber")
    taken(assign(call, number, one["campaignId"]))
    assert assign(call, number, other["campaignId"]).refusal == (409, "10012", "/phoneNumber")
    assert put(other["campaignId"], TOLL_FREE).refusal == (400, "10015", "/phoneNumber")
    assert taken(put(other["campaignId"]))["campaignId"] == other["campaignId"]
    assert sent(call, number)[0] == other["tcrCampaignId"]


@on_one_database
@pytest.mark.parametrize(
    ("phone", "campaign_id", "status", "code", "pointer"),
    [
        (None, None, 400, "10004", "/phoneNumber"),
        ("", None, 400, "10004", "/phoneNumber"),
        (NO_NUMBER, None, 422, "10017", "/phoneNumber"),
        ("nobody", None, 422, "10017", "/phoneNumber"),
        (TOLL_FREE, None, 400, "10015", "/phoneNumber"),
        ("mine", NO_SUCH_ID, 422, "10017", "/campaignId"),
        ("mine", "", 400, "10004", "/campaignId"),
    ],
)
def test_a_bad_assignment_is_refused_by_its_field(
    call: Caller, number: str, phone: str | None, campaign_id: str | None, status: int, code: str, pointer: str
) -> None:
    phone = number if phone == "mine" else phone
    campaign_id = campaign(call)["campaignId"] if campaign_id is None else campaign_id
    body = {"phoneNumber": phone, "campaignId": campaign_id}
    assert call("POST", NUMBERS, body).refusal == (status, code, pointer)


def test_numbers_are_listed_by_campaign_and_brand(call: Caller, accounts: Accounts, number: str) -> None:
    made, second = campaign(call), accounts.sender(accounts.sandbox()[1])
    for each in (second, number):
        taken(assign(call, each, made["campaignId"]))
    for name, value in (
        ("telnyx_campaign_id", made["campaignId"]),
        ("tcr_campaign_id", made["tcrCampaignId"]),
        ("telnyx_brand_id", made["brandId"]),
        ("tcr_brand_id", made["tcrBrandId"]),
    ):
        listed = taken(call("GET", f"{NUMBERS}?filter[{name}]={value}"))
        assert [each["phoneNumber"] for each in listed["records"]] == [number, second]
    last = taken(call("GET", f"{NUMBERS}?filter[telnyx_campaign_id]={made['campaignId']}&sort=-phoneNumber&page=2"))
    assert (last["page"], last["totalRecords"], last["records"]) == (2, 2, [])


def test_another_organisation_sees_nothing_of_it(call: Caller, stranger: Caller, number: str) -> None:
    made = campaign(call)
    taken(assign(call, number, made["campaignId"]))
    paths = (
        ("GET", f"{BRANDS}/{made['brandId']}", f"{BRANDS}/{NO_SUCH_ID}", None),
        ("PUT", f"{BRANDS}/{made['brandId']}", f"{BRANDS}/{NO_SUCH_ID}", GIVEN),
        ("DELETE", f"{BRANDS}/{made['brandId']}", f"{BRANDS}/{NO_SUCH_ID}", None),
        ("GET", f"{CAMPAIGNS}/{made['campaignId']}", f"{CAMPAIGNS}/{NO_SUCH_ID}", None),
        ("PUT", f"{CAMPAIGNS}/{made['tcrCampaignId']}", f"{CAMPAIGNS}/C000000", {"sample1": "x"}),
        ("DELETE", f"{CAMPAIGNS}/{made['campaignId']}", f"{CAMPAIGNS}/{NO_SUCH_ID}", None),
        ("GET", f"{NUMBERS}/{number}", f"{NUMBERS}/{NO_NUMBER}", None),
        ("DELETE", f"{NUMBERS}/{number}", f"{NUMBERS}/{NO_NUMBER}", None),
    )
    for method, theirs, nobodys, body in paths:
        found, missing = stranger(method, theirs, body), stranger(method, nobodys, body)
        assert found.refusal == missing.refusal
        assert found.status == 404
    assert build(stranger, made["brandId"]).refusal == (422, "10017", "/brandId")
    assert assign(stranger, number, made["campaignId"]).refusal == (422, "10017", "/phoneNumber")
    assert taken(stranger("GET", BRANDS)) == taken(stranger("GET", NUMBERS))
    assert taken(stranger("GET", f"{CAMPAIGNS}?brandId={made['brandId']}"))["totalRecords"] == 0
    assert sent(call, number)[0] == made["tcrCampaignId"]


def test_the_words_of_fields_are_listed(call: Caller) -> None:
    assert "MARKETING" in taken(call("GET", "/v2/10dlc/enum/usecase"))
    assert taken(call("GET", "/v2/10dlc/enum/campaignStatus")) == ["ACTIVE", "EXPIRED"]
    assert call("GET", "/v2/10dlc/enum/mno").refusal == (404, "10005", "/endpoint")


# ------------------------------------------------------------------------------------ where a campaign is asked for


@pytest.fixture(scope="module")
def strict_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """The accounts of a server that paces, and that wants campaigns."""
    settings = {"PACING__ENABLED": "on", "REGISTRATION__REQUIRED": "true"}
    with on_sqlite(tmp_path_factory.mktemp("strict"), **settings) as server:
        yield Accounts(server)


@pytest.fixture
def strict(strict_accounts: Accounts) -> Iterator[Caller]:
    with strict_accounts.caller() as caller:
        yield caller


@pytest.fixture
def numbers(strict_accounts: Accounts) -> list[str]:
    """Two long codes of the caller's."""
    return [strict_accounts.sender(strict_accounts.sandbox()[1]) for _ in range(2)]


def test_a_long_code_without_a_campaign_is_refused_where_one_is_required(strict: Caller, numbers: list[str]) -> None:
    number = numbers[0]
    assert strict.send(from_=number).refusal == (400, "40010", "/from")
    assert strict.send("/v2/messages/schedule", from_=number, send_at=strict.time(hours=1)).refusal[1] == "40010"
    assert strict.send(from_=number, to="+4915112345678").status == 200
    assert strict.send(from_=TOLL_FREE).status == 200
    made = campaign(strict)
    taken(assign(strict, number, made["campaignId"]))
    assert sent(strict, number)[0] == made["tcrCampaignId"]
    taken(strict("DELETE", f"{CAMPAIGNS}/{made['campaignId']}"))
    assert strict.send(from_=number).refusal == (400, "40010", "/from")


def test_a_pool_sends_from_numbers_with_the_campaign_that_is_needed(strict: Caller, strict_accounts: Accounts) -> None:
    pool = NumberPool(long_code_weight=1, toll_free_weight=1, skip_unhealthy=False)
    profile = strict_accounts.profile(strict_accounts.sandbox()[0], number_pool_settings=pool)
    plain, registered = (strict_accounts.sender(profile) for _ in range(2))
    wish: dict[str, Any] = {"from_": None, "messaging_profile_id": profile.id}
    assert strict.send(**wish).refusal == (400, "40321", "/from")
    assert strict.send(**wish, to="+4915112345678").data["from"]["phone_number"] in {plain, registered}
    taken(assign(strict, registered, campaign(strict)["campaignId"]))
    assert {strict.send(**wish).data["from"]["phone_number"] for _ in range(8)} == {registered}


def test_a_scheduled_message_whose_campaign_has_ended_is_not_sent(strict: Caller, numbers: list[str]) -> None:
    ends, stays = campaign(strict), campaign(strict)
    for number, of in zip(numbers, (ends, stays), strict=True):
        taken(assign(strict, number, of["campaignId"]))
    at = strict.time(hours=1)
    refused, kept = [strict.send(from_=number, send_at=at).data["id"] for number in numbers]
    taken(strict("DELETE", f"{CAMPAIGNS}/{ends['campaignId']}"))
    strict.advance_to(later(at, minutes=5))
    message = strict.read(refused)
    assert (message["to"][0]["status"], message["errors"][0]["code"]) == ("sending_failed", "40010")
    assert {each["message_id"] for each in strict.handset(TO)} & {refused, kept} == {kept}


def test_the_numbers_of_a_campaign_share_its_throughput(strict: Caller, numbers: list[str]) -> None:
    person = taken(strict("POST", BRANDS, {**GIVEN, "entityType": "SOLE_PROPRIETOR"}))
    made = taken(build(strict, person["brandId"], usecase="SOLE_PROPRIETOR"))
    for number in numbers:
        taken(assign(strict, number, made["campaignId"]))
    first, second = (strict.send(from_=number, to=TO).data for number in numbers)
    assert first["wait_seconds"] == 0
    # 15 parts a minute, of all its numbers together.
    assert 3 < second["wait_seconds"] <= 4
