"""The words of MySQL's client/server protocol, as far as they can be told without asking what they are for.

A packet is three bytes of length, one of sequence number, and its payload. A payload of exactly 0xFFFFFF bytes goes on
in the next packet.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
https://mariadb.com/kb/en/clientserver-protocol/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = 4  # bytes of a packet before its payload
LONGEST = 0xFFFFFF  # bytes of payload; a packet this long goes on in the next one

# Capabilities that change what replies look like, or what they say.
CLIENT_LONG_PASSWORD = 1 << 0  # MySQL's: a MariaDB does not offer it. MySQL's EOF packets say nothing of the session
CLIENT_COMPRESS = 1 << 5
CLIENT_SESSION_TRACK = 1 << 23
CLIENT_DEPRECATE_EOF = 1 << 24
CLIENT_OPTIONAL_RESULTSET_METADATA = 1 << 25
CLIENT_ZSTD_COMPRESSION = 1 << 26
CLIENT_QUERY_ATTRIBUTES = 1 << 27

# Status flags of OK and EOF packets.
SERVER_STATUS_IN_TRANS = 0x0001
SERVER_STATUS_AUTOCOMMIT = 0x0002
SERVER_MORE_RESULTS_EXISTS = 0x0008
SERVER_STATUS_CURSOR_EXISTS = 0x0040
SERVER_STATUS_NO_BACKSLASH_ESCAPES = 0x0200
SERVER_STATUS_IN_TRANS_READONLY = 0x2000
SERVER_SESSION_STATE_CHANGED = 0x4000

COM_QUIT = 0x01
COM_INIT_DB = 0x02
COM_QUERY = 0x03
COM_FIELD_LIST = 0x04
COM_STATISTICS = 0x09
COM_PROCESS_INFO = 0x0A
COM_PING = 0x0E
COM_CHANGE_USER = 0x11
COM_STMT_PREPARE = 0x16
COM_STMT_EXECUTE = 0x17
COM_STMT_SEND_LONG_DATA = 0x18
COM_STMT_CLOSE = 0x19
COM_STMT_RESET = 0x1A
COM_SET_OPTION = 0x1B
COM_STMT_FETCH = 0x1C
COM_RESET_CONNECTION = 0x1F
COM_STMT_BULK_EXECUTE = 0xFA  # MariaDB

# Commands by their replies.
UNANSWERED = {COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE}
WITH_RESULTS = {COM_QUERY, COM_STMT_EXECUTE, COM_STMT_BULK_EXECUTE, COM_PROCESS_INFO}
ROWS_ALONE = {COM_STMT_FETCH, COM_FIELD_LIST}  # a table's columns come as if they were rows
# One OK or EOF packet: the numbers are COM_CREATE_DB, COM_DROP_DB, COM_REFRESH, COM_SHUTDOWN, COM_PROCESS_KILL,
# COM_DEBUG. Before that of COM_CHANGE_USER there may be questions.
PLAIN = {COM_INIT_DB, 0x05, 0x06, 0x07, 0x08, 0x0C, 0x0D, COM_PING, COM_CHANGE_USER, COM_STMT_RESET, COM_SET_OPTION,
         COM_RESET_CONNECTION}  # fmt: skip
KNOWN = WITH_RESULTS | ROWS_ALONE | PLAIN | {COM_QUIT, COM_STATISTICS, COM_STMT_PREPARE}

OK = 0x00
AUTH_MORE = 0x01
LOCAL_INFILE = 0xFB
EOF = 0xFE
ERR = 0xFF
# Errors after which the server closes the connection. Many are what it says when it could not read a command to its
# end, or write a reply, with nothing to go on from: `do_command` in MySQL's sql/sql_parse.cc, and sql/net_serv.cc.
HANGS_UP = {
    1053,  # ER_SERVER_SHUTDOWN
    1077,  # ER_NORMAL_SHUTDOWN
    1079,  # ER_SHUTDOWN_COMPLETE
    1080,  # ER_FORCING_CLOSE
    1152,  # ER_ABORTING_CONNECTION
    1153,  # ER_NET_PACKET_TOO_LARGE
    1156,  # ER_NET_PACKETS_OUT_OF_ORDER
    1157,  # ER_NET_UNCOMPRESS_ERROR
    1158,  # ER_NET_READ_ERROR
    1159,  # ER_NET_READ_INTERRUPTED
    1160,  # ER_NET_ERROR_ON_WRITE
    1161,  # ER_NET_WRITE_INTERRUPTED
    1184,  # ER_NEW_ABORTING_CONNECTION
    1835,  # ER_MALFORMED_PACKET
    1927,  # ER_CONNECTION_KILLED (MariaDB)
    3169,  # ER_SESSION_WAS_KILLED
    4031,  # ER_CLIENT_INTERACTION_TIMEOUT
    4081,  # ER_DA_GLOBAL_CONN_LIMIT: the connections of the server have too much memory
    4082,  # ER_DA_CONN_LIMIT: this one has
}
PROGRESS = 0xFFFF  # MariaDB: the number of an "error" that reports progress; no driver of ours asks for it

_SCHEMA_CHANGED = 1  # SESSION_TRACK_SCHEMA
_WIDTHS = {0xFC: 3, 0xFD: 4, 0xFE: 9}  # of length-encoded integers that start so; below, they have one byte


class MalformedError(ValueError):
    """A packet is not what it should be."""


class CommandFailedError(Exception):
    """The server answered a command of the pool's own with an error: `args` are its number and text."""


class Command(NamedTuple):
    """One command of the protocol."""

    code: int
    payload: bytes = b""


class Reply(NamedTuple):
    """What an OK or EOF packet says.

    Attributes:
        status: the flags.
        changed_rows: how many rows the statement has changed.
        insert_id: the value of AUTO_INCREMENT, or of LAST_INSERT_ID(), that it set; 0 for none.
        schema_changed: the session has another current schema, as far as the packet says.
        warnings: how many there are, to be shown to whoever asks next.
    """

    status: int
    changed_rows: int = 0
    insert_id: int = 0
    schema_changed: bool = False
    warnings: int = 0


def encode(commands: Sequence[Command], query_prefix: bytes = b"") -> bytes:
    """The packets of several commands, each a sequence of its own; `query_prefix` precedes each query's text."""
    packets: list[bytes] = []
    for code, payload in commands:
        body = bytes((code,)) + (query_prefix if code == COM_QUERY else b"") + payload
        packets.append(framed(body))
    return b"".join(packets)


def framed(payload: bytes, sequence: int = 0) -> bytes:
    """A payload shorter than `LONGEST` as a packet of that sequence number, which wraps at 256."""
    return len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload


def read_integer(payload: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer, and where it ends."""
    first = payload[at]
    if first < LOCAL_INFILE:
        return first, at + 1
    width = _WIDTHS.get(first)
    if width is None or len(payload) < at + width:
        raise MalformedError("an integer is cut off, or none")
    return int.from_bytes(payload[at + 1 : at + width], "little"), at + width


def read_count(payload: bytes) -> int:
    """How many columns a result set has: all that its first packet says.

    Raises:
        MalformedError: it says something else.
    """
    count, at = read_integer(payload, 0)
    if not count or at != len(payload):
        raise MalformedError("a result begins with what is no number of columns")
    return count


def read_ok(payload: bytes, tracked: bool) -> Reply:
    """An OK packet, or the OK packet that ends a result set.

    Args:
        payload: of the packet, header byte included.
        tracked: whether CLIENT_SESSION_TRACK was agreed on.

    Raises:
        MalformedError: it is none.
    """
    try:
        changed_rows, at = read_integer(payload, 1)
        insert_id, at = read_integer(payload, at)
        if len(payload) < at + 4:
            raise MalformedError("an OK packet is cut off")
        status = payload[at] | payload[at + 1] << 8
        warnings = payload[at + 2] | payload[at + 3] << 8
        schema = bool(tracked and status & SERVER_SESSION_STATE_CHANGED) and _names_schema(payload, at + 4)
    except IndexError as exc:
        raise MalformedError("an OK packet is cut off") from exc
    return Reply(status, changed_rows, insert_id, schema, warnings)


def _names_schema(payload: bytes, at: int) -> bool:
    """Whether the session-track data behind the message of an OK packet has an entry about the schema."""
    length, at = read_integer(payload, at)
    length, at = read_integer(payload, at + length)
    end = at + length
    if end > len(payload):
        raise MalformedError("session-track data are cut off")
    while at < end:
        if payload[at] == _SCHEMA_CHANGED:
            return True
        length, at = read_integer(payload, at + 1)
        at += length
    if at != end:
        raise MalformedError("session-track data do not add up")
    return False


def read_eof(payload: bytes) -> Reply:
    """An EOF packet of the older kind: warnings and flags. What has changed in the session it does not say.

    Raises:
        MalformedError: it is none.
    """
    if len(payload) != 5 or payload[0] != EOF:
        raise MalformedError("no EOF packet where one is due")
    status = payload[3] | payload[4] << 8
    warnings = payload[1] | payload[2] << 8
    return Reply(status, schema_changed=bool(status & SERVER_SESSION_STATE_CHANGED), warnings=warnings)


def read_error(payload: bytes) -> CommandFailedError:
    """The number and the text of an ERR packet, without the SQLSTATE between them."""
    text = payload[9:] if payload[3:4] == b"#" else payload[3:]
    return CommandFailedError(int.from_bytes(payload[1:3], "little"), text.decode("utf-8", "replace"))
