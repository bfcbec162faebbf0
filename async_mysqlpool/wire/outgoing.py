"""What goes out over one connection, known from the packets; and what is known of it altogether."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from async_mysqlpool.wire import packets as p

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LAST", "OURS", "Buffer", "OnDone", "Outgoing"]

Buffer: TypeAlias = "bytes | bytearray"
OnDone: TypeAlias = "Callable[[Exception | None], None]"

OURS = 0x100  # added to the command byte of a command of the pool's own
LAST = 0x200  # and to the last one of those that went out together
_LONGEST_TEXT = 4096  # bytes of a statement that `harmless` is asked about


@cache
def _own(codes: tuple[int, ...]) -> tuple[int, ...]:
    """The command bytes of the pool's own commands, marked as such."""
    *others, last = codes
    return (*(code | OURS for code in others), last | OURS | LAST)


class Outgoing:
    """The facts of one connection, and the half of it that writes.

    Args:
        capabilities: the flags that client and server have agreed on.
        harmless: says of a statement's text whether it cannot change the session, unless the server says that it did.
            Asked only where what is known otherwise would allow to leave a reset out; None: nothing is harmless.

    Attributes:
        status: flags of the last OK or EOF packet, end of result sets included.
        doubt: why the connection must not be used again; None as long as everything was understood.
        spent: why it must not be used again although all is understood: something was done that no reset undoes.
        due: commands of the driver's whose replies are not complete.
        own_due: the same of the pool's own.
        lost: the connection has ended.
        touched: the driver has sent a command since `begin`.
        moved: and the server says that the current schema is another one.
        changed: or that anything in the session has changed that its trackers watch.
        unheard: the last reply was an error, after which the trackers' news come with the next OK packet only.
        wrote: rows were changed.
        unsafe: something was sent or answered of which no tracker would tell all effects.
    """

    __slots__ = (
        "__weakref__", "_commands", "_harmless", "_infile", "_is_ours", "_out_continued", "_out_head", "_out_left",
        "_own_error", "_prefix", "_tracked", "_waiting", "changed", "doubt", "due", "lost", "moved", "own_due", "spent",
        "status", "touched", "unheard", "unsafe", "wrote",
    )  # fmt: skip

    def __init__(self, capabilities: int, harmless: Callable[[bytes], bool] | None = None) -> None:
        self._tracked = bool(capabilities & p.CLIENT_SESSION_TRACK)
        self._prefix = b"\0\1" if capabilities & p.CLIENT_QUERY_ATTRIBUTES else b""  # of a query without attributes
        self._harmless = harmless
        self.status: int = 0
        self.due: int = 0
        self.own_due: int = 0
        self.doubt: str | None = None
        self.spent: str | None = None
        if capabilities & (p.CLIENT_COMPRESS | p.CLIENT_ZSTD_COMPRESSION | p.CLIENT_OPTIONAL_RESULTSET_METADATA):
            self.doubt = "the protocol is one that is not followed here"
        self.lost = False
        self._commands: deque[int] = deque()
        self._waiting: deque[OnDone] = deque()  # for the replies to commands of the pool's own
        self._own_error: Exception | None = None  # among those that have come
        self._is_ours = False  # the packet that comes next answers a command of the pool's own
        self._out_head = b""  # the beginning of a header
        self._out_left = 0  # bytes of the packet's payload that are still to be written
        self._out_continued = False
        self._infile = False  # the server asked for a file: packets are its content until an empty one
        self.touched = self.moved = self.changed = self.unheard = self.wrote = self.unsafe = False

    sees = True  # this is a wire that is listened to

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def hears(self) -> bool:
        """Whether the server was asked to tell when the session changes."""
        return self._tracked

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open: the last OK or EOF packet of the server has said so."""
        return bool(self.status & p.SERVER_STATUS_IN_TRANS)

    def begin(self) -> None:
        """A new borrower: what was seen so far is somebody else's."""
        self.touched = self.moved = self.changed = self.unheard = self.wrote = self.unsafe = False

    # -- what goes out --------------------------------------------------------------------------------------------

    def sent(self, data: Buffer | memoryview) -> None:
        """The driver writes these bytes."""
        size = len(data) - p.HEADER
        between = not (self._out_left or self._out_head or self._out_continued or self._infile)
        if between and 0 < size < p.LONGEST and data[0] | data[1] << 8 | data[2] << 16 == size and data[3] == 0:
            self._command(data[4], data)
        else:
            self._sent_in_parts(bytes(data))

    def _sent_in_parts(self, data: bytes) -> None:
        """Anything but one whole packet."""
        at, end = 0, len(data)
        while at < end:
            if self._out_left:
                step = min(self._out_left, end - at)
                self._out_left -= step
                at += step
                continue
            head = self._out_head + data[at : at + p.HEADER + 1 - len(self._out_head)]
            length = int.from_bytes(head[:3], "little")
            if len(head) < p.HEADER or (len(head) == p.HEADER and length):
                self._out_head = head
                return
            at += p.HEADER - len(self._out_head)
            self._out_head = b""
            self._out_left = length
            self._packet(head, length, data[at : at + length])

    def _packet(self, head: bytes, length: int, payload: bytes) -> None:
        """A header has gone out, with one byte of the payload at least."""
        continues, self._out_continued = self._out_continued, length == p.LONGEST
        if continues:
            return
        if self._infile:
            self._infile = length > 0
        elif length == 0 or head[3] != 0:
            if not (self._commands and self._commands[0] == p.COM_CHANGE_USER):  # its password
                self.distrust("a packet went out that is no command")
        else:
            whole = len(payload) == length < p.LONGEST
            self._command(head[4], head[:4] + payload if whole else b"")

    def _command(self, code: int, packet: Buffer | memoryview) -> None:
        """A command goes out; `packet` is all of it, or nothing where it is a long one or written in parts."""
        self.touched = True
        if code == p.COM_QUERY:
            if not self.unsafe:
                self.unsafe = self._harmless is None or not self._is_harmless(packet)
        elif code != p.COM_PING:
            self.unsafe = True
            if code == p.COM_CHANGE_USER:
                self.spent = "the session's user was changed"
            elif code == p.COM_SET_OPTION:
                self.spent = "COM_SET_OPTION changed the session"
            elif code in p.UNANSWERED:
                return
            elif code not in p.KNOWN:
                self.distrust(f"command {code:#04x} is not known")
        self._commands.append(code)
        self.due += 1

    def _is_harmless(self, packet: Buffer | memoryview) -> bool:
        said = bytes(packet[p.HEADER + 1 :])
        text = said[len(self._prefix) :] if said.startswith(self._prefix) else b""
        return self._harmless is not None and 0 < len(text) <= _LONGEST_TEXT and self._harmless(text)

    def expect(self, codes: tuple[int, ...], on_done: OnDone) -> None:
        """Commands of the pool's own go out, or are held back to go out before the driver's next one.

        Args:
            codes: their command bytes.
            on_done: called once, when all of their replies have come, with the first error among them.
        """
        self._commands.extend(_own(codes))
        self.own_due += len(codes)
        self._waiting.append(on_done)
        self._is_ours = self._commands[0] >= OURS
        if self.due:
            self.distrust("the pool's commands went out before the driver's were answered")
        elif self.doubt is not None or self.lost:
            self._fail_waiting(ConnectionResetError(self.doubt or "the connection was lost"))

    def distrust(self, reason: str) -> None:
        """Something was not understood: from here on nothing is known, and no reply is told from another."""
        if self.doubt is None:
            self.doubt = reason
            self._fail_waiting(p.CommandFailedError(2027, f"malformed answer: {reason}"))

    def end(self, error: Exception | None = None) -> None:
        """The connection has ended; who waits for answers to commands of the pool's own is told."""
        self.lost = True
        self._fail_waiting(error or ConnectionResetError("the connection was lost"))

    def _fail_waiting(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for on_done in waiting:
            on_done(self._own_error or error)
