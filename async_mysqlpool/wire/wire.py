"""What went over one connection, known from the packets themselves: bytes in, facts out, no I/O.

Whatever the driver writes passes `sent`, whatever the server answers passes `received`; so commands, replies still due,
transactions and changes of the session are facts here, whoever caused them and by whatever means. Commands of the
pool's own (`expect`) are answered before those the driver sends after them: their replies are the pool's, and
`received` says how many bytes of each chunk belong to them. What is not understood is `doubt`, and the connection must
not be used again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from async_mysqlpool.wire import packets as p

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Buffer", "OnDone", "Wire"]

Buffer: TypeAlias = "bytes | bytearray"
OnDone: TypeAlias = "Callable[[Exception | None], None]"

_OURS = 0x100  # added to the command byte of a command of the pool's own

# What the next packet of a reply is.
_FIRST = 0  # the first one of a result
_COLUMNS = 1  # one of `_left` column definitions
_COLUMNS_END = 2  # the EOF packet behind them
_ROWS = 3  # a row, or the end of the rows
_ROWS_END = 4  # the packet that ends the rows
_SKIPPED = 5  # one of `_left` packets that say nothing

_LONGEST_TEXT = 4096  # bytes of a statement that `harmless` is asked about


class Wire:
    """One connection from the end of its authentication on.

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
        "__weakref__", "_batches", "_commands", "_continued", "_eof_follows", "_eof_tells", "_harmless", "_infile",
        "_is_ours", "_left", "_needed", "_ok", "_ok_status", "_out_continued", "_out_head", "_out_left", "_phase",
        "_prefix", "_skip", "_stash", "_tracked", "changed", "doubt", "due", "lost", "moved", "own_due", "spent",
        "status", "touched", "unheard", "unsafe", "wrote",
    )  # fmt: skip

    def __init__(self, capabilities: int, harmless: Callable[[bytes], bool] | None = None) -> None:
        self._eof_follows = not capabilities & p.CLIENT_DEPRECATE_EOF
        self._eof_tells = not capabilities & p.CLIENT_LONG_PASSWORD  # its flags, that the session has changed
        self._tracked = bool(capabilities & p.CLIENT_SESSION_TRACK)
        self._prefix = b"\0\1" if capabilities & p.CLIENT_QUERY_ATTRIBUTES else b""  # of a query without attributes
        self._harmless = harmless
        self.status = self.due = self.own_due = 0
        self.doubt: str | None = None
        self.spent: str | None = None
        if capabilities & (p.CLIENT_COMPRESS | p.CLIENT_ZSTD_COMPRESSION | p.CLIENT_OPTIONAL_RESULTSET_METADATA):
            self.doubt = "the protocol is one that is not followed here"
        self.lost = False
        self._commands: deque[int] = deque()
        self._batches: deque[_Batch] = deque()
        # Of what comes in:
        self._is_ours = False  # the packet that comes next answers a command of the pool's own
        self._phase = _FIRST
        self._left = 0
        self._skip = 0  # bytes of the packet's payload that are still to come and say nothing
        self._continued = False  # the next packet goes on with the payload of the last one
        self._stash = bytearray()  # the beginning of a packet
        self._needed = 0  # how many bytes of it have to be there to go on
        self._ok = b""  # the last OK packet answering a command of ours, which the next one nearly always equals
        self._ok_status = 0
        # Of what goes out:
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
        """As the server said with the last OK or EOF packet."""
        return bool(self.status & p.SERVER_STATUS_IN_TRANS)

    @property
    def in_step(self) -> bool:
        """Whether every command was written whole, every reply has come whole, and all of it was understood."""
        waiting = self.due or self.own_due or self._stash
        writing = self._out_left or self._out_head or self._out_continued
        return not (waiting or writing or self.doubt or self.lost)

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
        self._commands.extend([code | _OURS for code in codes])
        self.own_due += len(codes)
        self._batches.append(_Batch(len(codes), on_done))
        self._is_ours = bool(self._commands[0] & _OURS)
        if self.due:
            self.distrust("the pool's commands went out before the driver's were answered")
        elif self.doubt is not None or self.lost:
            self._fail_batches(ConnectionResetError(self.doubt or "the connection was lost"))

    # -- what comes in --------------------------------------------------------------------------------------------

    def received(self, data: Buffer, start: int, end: int) -> int:
        """Bytes came, at data[start:end]. How many of them, at the front, are answers to commands of the pool's own."""
        stash = self._stash
        if not stash:
            return self._follow(data, start, end) - start
        known = len(stash)
        stash += data[start:end]
        if len(stash) < self._needed:
            return end - start if self._is_ours else 0
        self._stash = bytearray()
        return max(0, self._follow(stash, 0, len(stash)) - known)

    def _follow(self, data: Buffer, at: int, end: int) -> int:
        """Go through what has come of the stream, packet by packet; where the part at its front that is ours ends."""
        ours_end = at
        while at < end and self.doubt is None:
            ours = self._is_ours
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
            elif self._phase == _ROWS and not self._continued:
                at = self._pass_rows(data, at, end)
            else:
                at = self._next_packet(data, at, end)
            if ours:
                ours_end = at
        return ours_end

    def _next_packet(self, data: Buffer, at: int, end: int) -> int:
        """One packet, or what there is of it; where it, or that, ends."""
        payload_at = at + p.HEADER
        if end < payload_at:
            return self._keep(data, at, end, p.HEADER)
        length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
        if self._continued:
            self._skip, self._continued = length, length == p.LONGEST
            return payload_at
        if self._phase == _COLUMNS:
            if end == payload_at:
                return self._keep(data, at, end, p.HEADER + 1)
            if data[payload_at] != p.ERR:
                self._skip = length
                self._left -= 1
                if not self._left:
                    self._phase = _COLUMNS_END if self._eof_follows else _ROWS
                return payload_at
        packet_end = payload_at + length
        if end < packet_end or length == p.LONGEST:
            if self._phase == _FIRST and self._commands and self._commands[0] in p.ROWS_ALONE:
                self._phase = _ROWS
                return at
            if length < p.LONGEST:
                return self._keep(data, at, end, p.HEADER + length)
        if length == p.LONGEST or not length:
            self.distrust("a packet of an impossible length came")
            return payload_at
        if self._is_ours and self._ok and data.startswith(self._ok, at, packet_end):
            self._finished(p.Reply(self._ok_status))
        else:
            self._read(bytes(data[payload_at:packet_end]), bytes(data[at:payload_at]))
        self._is_ours = bool(self._commands and self._commands[0] & _OURS)
        return packet_end

    def _keep(self, data: Buffer, at: int, end: int, needed: int) -> int:
        """The beginning of a packet, until `needed` bytes of it are there; where what has come ends."""
        self._stash += data[at:end]
        self._needed = needed
        return end

    def _pass_rows(self, data: Buffer, at: int, end: int) -> int:
        """Rows, which nobody looks at here, up to the packet that ends them; where that begins."""
        last = end - p.HEADER
        while at < last:
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            first = data[at + p.HEADER]
            if first >= p.EOF and (first == p.ERR or length < (9 if self._eof_follows else p.LONGEST)):
                self._phase = _ROWS_END
                return at
            at += p.HEADER + length
            if at > end or length == p.LONGEST:
                self._skip, self._continued = max(0, at - end), length == p.LONGEST
                return min(at, end)
        return self._keep(data, at, end, p.HEADER + 1)

    def _read(self, payload: bytes, head: bytes) -> None:
        """A packet that says something."""
        if not self._commands:
            self.distrust("the server hung up" if payload[0] == p.ERR else "a packet came that nobody had asked for")
            return
        command = self._commands[0] & 0xFF
        try:
            if payload[0] == p.ERR:
                self._failed(payload)
            elif self._phase == _SKIPPED:
                self._left -= 1
                if not self._left:
                    self._finished(None)
            elif self._phase == _COLUMNS_END:
                self._columns_end(command, p.read_eof(payload))
            elif self._phase == _ROWS_END:
                self._result_ends(self._read_end(payload))
            else:
                self._first(command, payload, head)
        except (p.MalformedError, IndexError) as exc:
            self.distrust(f"a packet does not fit: {exc}")

    def _first(self, command: int, payload: bytes, head: bytes) -> None:
        """The first packet of a result, and no error."""
        kind = payload[0]
        if command in p.WITH_RESULTS:
            if kind == p.OK:
                self._result_ends(p.read_ok(payload, self._tracked))
            elif kind == p.LOCAL_INFILE:
                self._infile = self.unsafe = True
            else:
                self._left, self._phase = p.read_count(payload), _COLUMNS
                self.unsafe |= self._eof_follows and not (self._eof_tells or self._is_ours)
        elif command == p.COM_CHANGE_USER and kind in {p.AUTH_MORE, p.EOF}:
            pass  # the authentication goes on
        elif command in p.PLAIN:
            self._plain(kind, payload, head)
        elif command == p.COM_STMT_PREPARE and kind == p.OK and len(payload) >= 12:
            columns, parameters = payload[5] | payload[6] << 8, payload[7] | payload[8] << 8
            self._left = columns + parameters + (bool(columns) + bool(parameters) if self._eof_follows else 0)
            self._phase = _SKIPPED
            if not self._left:
                self._finished(None)
        elif command in p.ROWS_ALONE:
            self._fetched(kind, payload)
        elif command == p.COM_STATISTICS:
            self._finished(None)
        else:
            self.distrust(f"command {command:#04x} has an answer that does not fit")

    def _plain(self, kind: int, payload: bytes, head: bytes) -> None:
        if kind == p.EOF:
            self._finished(self._read_end(payload))
        elif kind == p.OK:
            reply = p.read_ok(payload, self._tracked)
            if self._commands[0] & _OURS and not reply.status & p.SERVER_SESSION_STATE_CHANGED:
                self._ok, self._ok_status = head + payload, reply.status
            self._finished(reply)
        else:
            self.distrust("an answer is neither OK nor an error")

    def _fetched(self, kind: int, payload: bytes) -> None:
        """A row without anything before it, or the end at once."""
        if kind == p.EOF and len(payload) < (9 if self._eof_follows else p.LONGEST):
            self._result_ends(self._read_end(payload))
        else:
            self._phase = _ROWS

    def _read_end(self, payload: bytes) -> p.Reply:
        return p.read_eof(payload) if self._eof_follows else p.read_ok(payload, self._tracked)

    def _columns_end(self, command: int, reply: p.Reply) -> None:
        """With a cursor on the server, the rows come when they are fetched."""
        if command == p.COM_STMT_EXECUTE and reply.status & p.SERVER_STATUS_CURSOR_EXISTS:
            self._finished(reply)
        else:
            self._phase = _ROWS

    def _result_ends(self, reply: p.Reply) -> None:
        if reply.status & p.SERVER_MORE_RESULTS_EXISTS:
            self._note(reply)
            self._phase = _FIRST
        else:
            self._finished(reply)

    def _note(self, reply: p.Reply) -> None:
        """What the server says of the session."""
        self.status = reply.status
        if self._commands[0] & _OURS:
            return
        self.unheard = False
        if reply.status & p.SERVER_SESSION_STATE_CHANGED:
            self.changed = True
            self.moved = self.moved or reply.schema_changed
        if reply.changed_rows:
            self.wrote = True
        if reply.insert_id or reply.warnings or reply.status & p.SERVER_MORE_RESULTS_EXISTS:
            self.unsafe = True

    def _failed(self, payload: bytes) -> None:
        if (number := payload[1] | payload[2] << 8) == p.PROGRESS:
            raise p.MalformedError("a progress report")
        if number in p.HANGS_UP:
            self.spent = f"the server hangs up after error {number}"
        error = p.read_error(payload) if self._commands[0] & _OURS else None
        if error is None:
            self.unheard = self.unsafe = True
        self._infile = False
        self._ends(error)

    def _finished(self, reply: p.Reply | None) -> None:
        """The reply to a command is complete."""
        if reply is not None:
            self._note(reply)
        self._ends(None)

    def _ends(self, error: Exception | None) -> None:
        self._phase = _FIRST
        if not self._commands.popleft() & _OURS:
            self.due -= 1
        else:
            self.own_due -= 1
            if self._batches:  # or they were told that the connection was lost
                batch = self._batches[0]
                batch.left -= 1
                batch.error = batch.error or error
                if not batch.left:
                    self._batches.popleft()
                    batch.on_done(batch.error)

    def distrust(self, reason: str) -> None:
        """Something was not understood: from here on nothing is known, and no reply is told from another."""
        if self.doubt is None:
            self.doubt = reason
            self._fail_batches(p.CommandFailedError(2027, f"malformed answer: {reason}"))

    def end(self, error: Exception | None = None) -> None:
        """The connection has ended; who waits for answers to commands of the pool's own is told."""
        self.lost = True
        self._fail_batches(error or ConnectionResetError("the connection was lost"))

    def _fail_batches(self, error: Exception) -> None:
        batches, self._batches = self._batches, deque()
        for batch in batches:
            batch.on_done(batch.error or error)


class _Batch:
    """Commands of the pool's own that went out together."""

    __slots__ = ("error", "left", "on_done")

    def __init__(self, left: int, on_done: OnDone) -> None:
        self.left = left
        self.on_done = on_done
        self.error: Exception | None = None
