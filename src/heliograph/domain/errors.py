"""What can go wrong for a caller, in one catalogue.

    Refusal                 a request is not taken; nothing was changed
        one `Code`, a sentence for this occurrence, and the place in the request

Codes and titles are wire constants (Contract 2.3 to 2.6). The domain knows no HTTP: `api/problems.py` gives each code
its status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Code(StrEnum):
    """The code of an error as it stands in `errors[].code`."""

    INVALID_PHONE_NUMBER = "10002"
    MISSING_PARAMETER = "10004"
    NOT_FOUND = "10005"
    UNEXPECTED = "10007"
    AUTHENTICATION_FAILED = "10009"
    NOT_AUTHORIZED = "10010"
    TOO_MANY_REQUESTS = "10011"
    DUPLICATE_RESOURCE = "10012"
    BAD_REQUEST = "10015"
    NOT_E164 = "10016"
    NO_ASSOCIATED_RESOURCE = "10017"
    INVALID_EMAIL = "10019"
    RESOURCE_IN_USE = "10021"
    INVALID_JSON = "10023"
    LENGTH_OUT_OF_RANGE = "10025"
    INVALID_TYPE = "10026"
    INVALID_URL = "10003"
    INVALID_ENCODING = "10028"
    JSON_EXPECTED = "10029"
    METHOD_NOT_ALLOWED = "10030"
    INVALID_FILTER = "10031"
    INVALID_ENUM = "10032"
    OUT_OF_RANGE = "10033"
    RESOURCE_LOCKED = "10035"
    SERVICE_UNAVAILABLE = "10037"
    KEY_REVOKED = "20002"

    NOT_ROUTABLE = "40001"
    BLOCKED_AS_SPAM = "40002"
    SENDER_BLOCKED_AS_SPAM = "40003"
    REJECTED_BY_DESTINATION = "40004"
    EXPIRED_ON_ITS_WAY = "40005"
    SERVER_UNAVAILABLE = "40006"
    LOOP = "40007"
    UNDELIVERABLE = "40008"
    INVALID_BODY = "40009"
    NOT_REGISTERED = "40010"
    TOO_MANY_AT_CARRIER = "40011"
    INVALID_DESTINATION = "40012"
    INVALID_SOURCE = "40013"
    EXPIRED_IN_QUEUE = "40014"
    BLOCKED_AS_SPAM_HERE = "40015"
    T_MOBILE_LIMIT = "40016"
    ATT_SPAM = "40017"
    ATT_LIMIT = "40018"
    ATT_TAGS = "40019"
    INFLATED_TRAFFIC = "40020"

    OPTED_OUT = "40300"
    UNSUPPORTED_TYPE = "40301"
    TOO_LARGE = "40302"
    CONTENT_MIX = "40304"
    INVALID_FROM = "40305"
    ALPHA_NOT_CONFIGURED = "40306"
    ALPHA_MISMATCH = "40307"
    INVALID_FROM_FOR_MMS = "40308"
    INVALID_REGION = "40309"
    INVALID_TO = "40310"
    PROFILE_DISABLED = "40312"
    NO_CONTENT = "40316"
    INVALID_MMS = "40317"
    QUEUE_FULL = "40318"
    NO_USABLE_NUMBERS = "40321"
    INVALID_ALPHA = "40325"
    INVALID_DOMAIN = "40327"
    UNUSUALLY_LONG = "40328"
    NO_DESTINATIONS = "40331"
    BRAND_IN_USE = "40332"
    SPEND_LIMIT_REACHED = "40333"

    OUTCOME_UNKNOWN = "49001"


TITLES: Mapping[Code, str] = {
    Code.INVALID_URL: "Invalid URL",
    Code.INVALID_PHONE_NUMBER: "Invalid phone number",
    Code.MISSING_PARAMETER: "Missing required parameter",
    Code.NOT_FOUND: "Resource not found",
    Code.UNEXPECTED: "Unexpected error",
    Code.AUTHENTICATION_FAILED: "Authentication failed",
    Code.NOT_AUTHORIZED: "Authorization failed",
    Code.TOO_MANY_REQUESTS: "Too many requests",
    Code.DUPLICATE_RESOURCE: "Duplicate resource",
    Code.BAD_REQUEST: "Bad Request",
    Code.NOT_E164: "Phone number must be in +E.164 format",
    Code.NO_ASSOCIATED_RESOURCE: "Associated resource does not exist",
    Code.INVALID_EMAIL: "Invalid email address",
    Code.RESOURCE_IN_USE: "Resource in use",
    Code.INVALID_JSON: "Invalid JSON",
    Code.LENGTH_OUT_OF_RANGE: "String length out of range",
    Code.INVALID_TYPE: "Invalid parameter type",
    Code.INVALID_ENCODING: "Character encoding error",
    Code.JSON_EXPECTED: "Expected JSON Content-Type",
    Code.METHOD_NOT_ALLOWED: "Method not allowed",
    Code.INVALID_FILTER: "Invalid request filter",
    Code.INVALID_ENUM: "Invalid enumerated value",
    Code.OUT_OF_RANGE: "Value outside of range",
    Code.RESOURCE_LOCKED: "Resource locked",
    Code.SERVICE_UNAVAILABLE: "Service unavailable",
    Code.KEY_REVOKED: "API Key revoked",
    Code.NOT_ROUTABLE: "Not routable",
    Code.BLOCKED_AS_SPAM: "Blocked as spam - temporary",
    Code.SENDER_BLOCKED_AS_SPAM: "Blocked as spam - permanent",
    Code.REJECTED_BY_DESTINATION: "Rejected by destination",
    Code.EXPIRED_ON_ITS_WAY: "Message expired during transmission",
    Code.SERVER_UNAVAILABLE: "Recipient server unavailable",
    Code.LOOP: "Loop detected",
    Code.UNDELIVERABLE: "Undeliverable",
    Code.INVALID_BODY: "Invalid message body",
    Code.NOT_REGISTERED: "Not 10DLC registered",
    Code.TOO_MANY_AT_CARRIER: "Too many requests",
    Code.INVALID_DESTINATION: "Invalid messaging destination number",
    Code.INVALID_SOURCE: "Invalid messaging source number",
    Code.EXPIRED_IN_QUEUE: "Message expired in queue",
    Code.BLOCKED_AS_SPAM_HERE: "Blocked as spam - internal",
    Code.T_MOBILE_LIMIT: "T-Mobile 10DLC Sending Limit Reached",
    Code.ATT_SPAM: "AT&T 10DLC Spam Message Rejected",
    Code.ATT_LIMIT: "AT&T 10DLC Sending Limit Reached",
    Code.ATT_TAGS: "AT&T 10DLC Invalid Tag Data",
    Code.INFLATED_TRAFFIC: "Blocked as potentially artificial inflation of traffic",
    Code.OPTED_OUT: "Blocked due to STOP message",
    Code.UNSUPPORTED_TYPE: "Unsupported message type for the 'to' address",
    Code.TOO_LARGE: "Message too large",
    Code.CONTENT_MIX: "Invalid combination of message content arguments",
    Code.INVALID_FROM: "Invalid 'from' address",
    Code.ALPHA_NOT_CONFIGURED: "Alpha sender not configured",
    Code.ALPHA_MISMATCH: "Alpha sender mismatch",
    Code.INVALID_FROM_FOR_MMS: "Invalid 'from' address for MMS",
    Code.INVALID_REGION: "Invalid destination region",
    Code.INVALID_TO: "Invalid 'to' address",
    Code.PROFILE_DISABLED: "Messaging profile is disabled",
    Code.NO_CONTENT: "No content provided for message",
    Code.INVALID_MMS: "Invalid MMS content",
    Code.QUEUE_FULL: "Message queue full",
    Code.NO_USABLE_NUMBERS: "No usable numbers on messaging profile",
    Code.INVALID_ALPHA: "Invalid alphanumeric sender ID",
    Code.INVALID_DOMAIN: "Invalid Domain",
    Code.UNUSUALLY_LONG: "SMS exceeds recommended size",
    Code.NO_DESTINATIONS: "Missing whitelisted destinations",
    Code.BRAND_IN_USE: "Brand cannot be deleted",
    Code.SPEND_LIMIT_REACHED: "Messaging profile spend limit reached",
    # Ours: the provider has no word for it. Promise P3: what a crash leaves unknown is shown as unknown.
    Code.OUTCOME_UNKNOWN: "Outcome unknown",
}


@dataclass(slots=True)
class Refusal(Exception):
    """A request that is not taken, with everything its answer needs.

    `pointer` is an RFC 6901 pointer into the body, `parameter` a query parameter; at most one of them is given.
    """

    code: Code
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    meta: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} {TITLES[self.code]}: {self.detail}"
