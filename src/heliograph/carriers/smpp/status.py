"""What a peer means by command_status: the names of SMPP 3.4, section 5.1.3, and the kind of each."""

from collections.abc import Mapping
from enum import Enum, IntEnum


class Status(IntEnum):
    """command_status values of S. 5.1.3. A peer may send others."""

    ROK = 0x00
    RINVMSGLEN = 0x01
    RINVCMDLEN = 0x02
    RINVCMDID = 0x03
    RINVBNDSTS = 0x04
    RALYBND = 0x05
    RINVPRTFLG = 0x06
    RINVREGDLVFLG = 0x07
    RSYSERR = 0x08
    RINVSRCADR = 0x0A
    RINVDSTADR = 0x0B
    RINVMSGID = 0x0C
    RBINDFAIL = 0x0D
    RINVPASWD = 0x0E
    RINVSYSID = 0x0F
    RCANCELFAIL = 0x11
    RREPLACEFAIL = 0x13
    RMSGQFUL = 0x14
    RINVSERTYP = 0x15
    RINVNUMDESTS = 0x33
    RINVDLNAME = 0x34
    RINVDESTFLAG = 0x40
    RINVSUBREP = 0x42
    RINVESMCLASS = 0x43
    RCNTSUBDL = 0x44
    RSUBMITFAIL = 0x45
    RINVSRCTON = 0x48
    RINVSRCNPI = 0x49
    RINVDSTTON = 0x50
    RINVDSTNPI = 0x51
    RINVSYSTYP = 0x53
    RINVREPFLAG = 0x54
    RINVNUMMSGS = 0x55
    RTHROTTLED = 0x58
    RINVSCHED = 0x61
    RINVEXPIRY = 0x62
    RINVDFTMSGID = 0x63
    RX_T_APPN = 0x64
    RX_P_APPN = 0x65
    RX_R_APPN = 0x66
    RQUERYFAIL = 0x67
    RINVOPTPARSTREAM = 0xC0
    ROPTPARNOTALLWD = 0xC1
    RINVPARLEN = 0xC2
    RMISSINGOPTPARAM = 0xC3
    RINVOPTPARAMVAL = 0xC4
    RDELIVERYFAILURE = 0xFE
    RUNKNOWNERR = 0xFF


class Kind(Enum):
    """What a command_status means for the one who asked."""

    OK = "ok"
    THROTTLED = "throttled"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"


# Everything else of S. 5.1.3 names a fault of the request, and is told again however often that request is repeated.
_KINDS: Mapping[int, Kind] = {
    Status.ROK: Kind.OK,
    Status.RTHROTTLED: Kind.THROTTLED,
    Status.RMSGQFUL: Kind.THROTTLED,
    Status.RINVBNDSTS: Kind.TEMPORARY,  # the link is at fault, not the message
    Status.RALYBND: Kind.TEMPORARY,  # a link that was lost is still bound over there
    Status.RBINDFAIL: Kind.TEMPORARY,
    Status.RSYSERR: Kind.TEMPORARY,
    Status.RSUBMITFAIL: Kind.TEMPORARY,  # no cause is given
    Status.RX_T_APPN: Kind.TEMPORARY,
    Status.RQUERYFAIL: Kind.TEMPORARY,
    Status.RUNKNOWNERR: Kind.TEMPORARY,
}


def kind_of(status: int) -> Kind:
    """What follows from a command_status.

    One that is reserved, the vendor's own (S. 5.1.3) or simply unknown is temporary: the request was not taken, so a
    repeat cannot double it, and a failure for good is not to be guessed.
    """
    known = Kind.PERMANENT if status in _NAMES else Kind.TEMPORARY
    return _KINDS.get(status, known)


def status_name(status: int) -> str:
    """`ESME_RTHROTTLED`, or `0x00000410` where the specification has no name."""
    return _NAMES.get(status) or f"0x{status:08X}"


_NAMES: Mapping[int, str] = {status.value: f"ESME_{status.name}" for status in Status}
