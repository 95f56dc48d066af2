"""One of everything that an organisation can have, made over the wire: what the tests of whole route tables ask for.

A path with parameters that is new belongs into `places`, and an operation that takes a body into `bodies`; tests fail
until it is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from re import compile as regex
from typing import Any

from heliograph.api.app import PREFIX, RESOURCES
from tests.wire import TO, Caller

_FREE = count(1000)
_CODES = count(70_000)
HANDSET = "+13125550166"
ABROAD = "+447400123456"
BELOW_A_PROFILE = ("actions/regenerate_secret", "phone_numbers", "short_codes", "alphanumeric_sender_ids", "metrics")
PUBLIC = {
    "/number_lookup/{phone_number}": "what is known of any number, by its digits",
    "/10dlc/enum/{endpoint}": "words of the registry",
}
"""Paths with parameters that lead to nobody's own."""
UNKNOWN = {
    "/phone_numbers/{id}/messaging": "01900000-0000-7000-8000-00000000000a",
    "/10dlc/phone_number_campaigns/{phoneNumber}": "+12125559999",
}
_UNKNOWN_ID = "01900000-0000-7000-8000-000000000000"
PARAMETER = regex(r"\{(\w+)\}")


def unknown(path: str) -> str:
    """A parameter of a path that leads to nothing."""
    return UNKNOWN.get(path, _UNKNOWN_ID)


@dataclass(frozen=True)
class Premises:
    """What one organisation has."""

    call: Caller
    places: Mapping[str, Mapping[str, str]]
    """The parameters of each path that leads to something of its own."""
    bodies: Mapping[str, object]
    """By `METHOD path`: a body that names what is its own."""
    queries: Mapping[str, str]
    """By the end of a parameter's name: what it would ask for."""
    marks: frozenset[str]
    """Texts that nobody else may be shown."""

    def url(self, path: str, *, nobodys: bool = False) -> str:
        """A path with its parameters, or with such as nobody has."""
        parameters = self.places.get(path, {})
        fill = {name: unknown(path) if nobodys else value for name, value in parameters.items()}
        return PREFIX + PARAMETER.sub(lambda found: fill[found[1]].replace("+", "%2B"), path)

    def state(self) -> Mapping[str, object]:
        """All that can be read of it and does not change by itself."""
        paths = [path for path, methods in RESOURCES.items() if "GET" in methods and path not in PUBLIC]
        # Figures go with the time, and deliveries are tried again.
        moving = ("metrics", "webhook_deliveries", "detail_records")
        still = [path for path in paths if not any(each in path for each in moving)]
        found = {path: self.call("GET", self.url(path)).json for path in still if not path.endswith("/sync")}
        return {path: _without_health(answer) for path, answer in found.items()}


def _without_health(answer: Any) -> Any:
    """Numbers are measured every few minutes, whatever anybody asks."""
    if isinstance(answer, dict):
        return {name: _without_health(value) for name, value in answer.items() if name != "health"}
    return [_without_health(each) for each in answer] if isinstance(answer, list) else answer


class _Maker:
    """Makes everything, and notes where it is and what names it."""

    def __init__(self, call: Caller) -> None:
        self.call = call
        self.name = f"Premises {next(_FREE)}"
        self.places: dict[str, dict[str, str]] = {}
        self.bodies: dict[str, object] = {}
        self.queries: dict[str, str] = {}
        self.profile = self._profile()
        self.number = self._number(f"+1815555{next(_FREE):04d}")
        self.short_code = self._number(str(next(_CODES)))
        self.alphanumeric = f"Team{next(_FREE)}"
        self._senders()
        self._registry()
        self.message = {"from": self.number["phone_number"], "to": TO, "text": f"Hello from {self.name}"}
        self.sent = self._made("/messages", self.message)["id"]
        self._messages()
        self._reports()
        self._deliveries()
        self._queries()

    def marks(self) -> frozenset[str]:
        """Texts that nobody else may be shown."""
        ids = {value for parameters in self.places.values() for value in parameters.values()}
        return frozenset(ids | {self.name, self.number["phone_number"], self.alphanumeric, self.sent})

    def _made(self, path: str, body: object) -> Any:
        answer = self.call("POST", PREFIX + path, body)
        assert answer.status in {200, 201}, answer.body
        return answer.json.get("data", answer.json)

    def _profile(self) -> str:
        url = f"https://example.com/{next(_FREE)}"
        pool = {"long_code_weight": 1, "toll_free_weight": 1, "skip_unhealthy": False}
        wish = {"name": self.name, "whitelisted_destinations": ["*"], "webhook_url": url, "number_pool_settings": pool}
        profile: str = self._made("/messaging_profiles", wish)["id"]
        for below in ("", *(f"/{each}" for each in BELOW_A_PROFILE)):
            self.places[f"/messaging_profiles/{{id}}{below}"] = {"id": profile}
        self.bodies["POST /messaging_profiles"] = {**wish, "name": "Another"}
        self.bodies["PATCH /messaging_profiles/{id}"] = {"name": "Changed"}
        replies = "/messaging_profiles/{profile_id}/autoresp_configs"
        reply = {"op": "start", "keywords": ["JOIN"], "country_code": "*", "resp_text": "You are back, and know how."}
        autoresponse = self._made(replies.format(profile_id=profile), reply)["id"]
        self.places[replies] = {"profile_id": profile}
        self.places[f"{replies}/{{autoresp_cfg_id}}"] = {"profile_id": profile, "autoresp_cfg_id": autoresponse}
        self.bodies[f"POST {replies}"] = {**reply, "keywords": ["AGAIN"]}
        self.bodies[f"PUT {replies}/{{autoresp_cfg_id}}"] = {**reply, "keywords": ["BACK"]}
        return profile

    def _number(self, address: str) -> Any:
        wish = {"phone_number": address, "messaging_profile_id": self.profile}
        self.bodies["POST /phone_numbers/messaging"] = wish
        return self._made("/phone_numbers/messaging", wish)

    def _senders(self) -> None:
        named = {"alphanumeric_sender_id": self.alphanumeric, "messaging_profile_id": self.profile}
        sender = self._made("/alphanumeric_sender_ids", named)["id"]
        moved = {"messaging_profile_id": self.profile, "numbers": [self.number["phone_number"]]}
        order = self._made("/messaging_numbers_bulk_updates", moved)["order_id"]
        self.places["/phone_numbers/{id}/messaging"] = {"id": self.number["id"]}
        self.places["/short_codes/{id}"] = {"id": self.short_code["id"]}
        self.places["/alphanumeric_sender_ids/{id}"] = {"id": sender}
        self.places["/messaging_numbers_bulk_updates/{order_id}"] = {"order_id": order}
        self.bodies["PATCH /phone_numbers/{id}/messaging"] = {"tags": ["changed"]}
        self.bodies["PATCH /short_codes/{id}"] = {"messaging_profile_id": ""}
        self.bodies["POST /alphanumeric_sender_ids"] = {**named, "alphanumeric_sender_id": "Others"}
        self.bodies["POST /messaging_numbers_bulk_updates"] = {**moved, "messaging_profile_id": ""}

    def _registry(self) -> None:
        company = {"displayName": self.name, "companyName": self.name, "entityType": "PRIVATE_PROFIT"}
        wish = {**company, "country": "US", "email": "name@example.com", "vertical": "TECHNOLOGY"}
        brand = self._made("/10dlc/brand", wish)["brandId"]
        plan = {"brandId": brand, "description": "News of ours, and only ours", "usecase": "MARKETING"}
        plan["sample1"] = "Sale! Reply STOP to end."
        campaign = self._made("/10dlc/campaignBuilder", plan)["campaignId"]
        assignment = {"phoneNumber": self.number["phone_number"], "campaignId": campaign}
        self._made("/10dlc/phone_number_campaigns", assignment)
        self.places["/10dlc/phone_number_campaigns/{phoneNumber}"] = {"phoneNumber": self.number["phone_number"]}
        self.places["/10dlc/campaign/{campaignId}"] = {"campaignId": campaign}
        self.places["/10dlc/brand/{brandId}"] = {"brandId": brand}
        self.bodies["POST /10dlc/brand"] = {**wish, "displayName": "Another", "companyName": "Another"}
        self.bodies["PUT /10dlc/brand/{brandId}"] = {**wish, "displayName": "Changed"}
        self.bodies["POST /10dlc/campaignBuilder"] = plan
        self.bodies["PUT /10dlc/campaign/{campaignId}"] = {"sample1": "Changed"}
        self.bodies["POST /10dlc/phone_number_campaigns"] = assignment
        self.bodies["PUT /10dlc/phone_number_campaigns/{phoneNumber}"] = assignment

    def _messages(self) -> None:
        later = {**self.message, "send_at": self.call.time(hours=2)}
        grouped = {**self.message, "to": [TO, "+14155551234"], "subject": self.name}
        group = self._made("/messages/group_mms", grouped)["id"]
        own = {**self.message, "messaging_profile_id": self.profile}
        self.places["/messages/{id}"] = {"id": self._made("/messages/schedule", later)["id"]}
        self.places["/messages/{id}/timeline"] = {"id": self.sent}
        self.places["/messages/group/{message_id}"] = {"message_id": group}
        self.bodies |= {
            "POST /messages": own,
            "POST /messages/schedule": {**own, **later},
            "POST /messages/long_code": self.message,
            "POST /messages/short_code": {**self.message, "from": self.short_code["phone_number"]},
            "POST /messages/number_pool": {"to": TO, "text": self.name, "messaging_profile_id": self.profile},
            "POST /messages/group_mms": grouped,
            "POST /messages/alphanumeric_sender_id": {**own, "from": self.alphanumeric, "to": ABROAD},
        }
        self.call("POST", f"/sandbox/handsets/{HANDSET}/messages", {"to": self.number["phone_number"], "text": "STOP"})

    def _reports(self) -> None:
        begin, end = self.call.time(hours=-1), self.call.time(hours=1)
        span = {"start_time": begin, "end_time": end, "profiles": [self.profile]}
        usage = {"aggregation_type": "NO_AGGREGATION", "start_date": begin, "end_date": end, "profiles": self.profile}
        wishes: Mapping[str, object] = {
            "/reports/mdr_usage_reports": usage,
            "/legacy/reporting/usage_reports/messaging": {**span, "aggregation_type": 0},
            "/legacy/reporting/batch_detail_records/messaging": span,
        }
        for path, wish in wishes.items():
            self.places[f"{path}/{{id}}"] = {"id": self._made(path, wish)["id"]}
            self.bodies[f"POST {path}"] = wish
        self.bodies["POST /webhook_deliveries/replay"] = {"since": begin}

    def _deliveries(self) -> None:
        self.call.settle()
        (delivery, *_) = [
            each
            for status in ("pending", "failed", "delivered")
            for each in self.call("GET", f"{PREFIX}/webhook_deliveries?filter[status][eq]={status}").data
        ]
        for path in ("/webhook_deliveries/{id}", "/webhook_deliveries/{id}/replay"):
            self.places[path] = {"id": delivery["id"]}
        self.bodies["POST /webhook_deliveries/{id}/replay"] = {}

    def _queries(self) -> None:
        brand = self.places["/10dlc/brand/{brandId}"]["brandId"]
        number = self.number["phone_number"]
        self.queries = {
            "profile_id]": self.profile,
            "profiles": self.profile,
            "profile": self.name,
            "name]": self.name,
            "displayName": self.name,
            "brandId": brand,
            "brand_id]": brand,
            "campaign_id]": self.places["/10dlc/campaign/{campaignId}"]["campaignId"],
            **dict.fromkeys(("phone_number]", "from]", "cli]", "cli"), number),
            **dict.fromkeys(("uuid]", "id"), self.sent),
        }


def premises(call: Caller) -> Premises:
    """Everything, once: `call` is somebody of an organisation that has nothing yet."""
    made = _Maker(call)
    return Premises(call, made.places, made.bodies, made.queries, made.marks())
