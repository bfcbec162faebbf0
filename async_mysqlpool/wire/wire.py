"""What went over one connection, known from the packets themselves: bytes in, facts out, no I/O.

Whatever the driver writes passes `sent`, whatever the server answers passes `received`; so commands, replies still due,
transactions and changes of the session are facts here, whoever caused them and by whatever means. Commands of the
pool's own (`expect`) are answered before those the driver sends after them: their replies are the pool's, and
`received` says how many bytes of each chunk belong to them. What is not understood is `doubt`, and the connection must
not be used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from async_mysqlpool.wire import packets as p
from async_mysqlpool.wire.outgoing import LAST, OURS, Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.wire.outgoing import Buffer

__all__ = ["Wire"]

_HEADER = p.HEADER

# What the next packet of a reply is.
_FIRST = 0  # the first one of a result
_COLUMNS = 1  # one of `_left` column definitions
_COLUMNS_END = 2  # the EOF packet behind them
_ROWS = 3  # a row, or the end of the rows
_ROWS_END = 4  # the packet that ends the rows
_SKIPPED = 5  # one of `_left` packets that say nothing


# Of status flags: those after which there is more to be noted.
_NEWS = p.SERVER_MORE_RESULTS_EXISTS | p.SERVER_SESSION_STATE_CHANGED


class Wire(Outgoing):
    """One connection from the end of its authentication on; for arguments and facts see `Outgoing`."""

    __slots__ = (
        "_continued", "_eof_follows", "_eof_tells", "_left", "_needed", "_ok", "_ok_status", "_phase", "_skip",
        "_stash",
    )  # fmt: skip

    def __init__(self, capabilities: int, harmless: Callable[[bytes], bool] | None = None) -> None:
        super().__init__(capabilities, harmless)
        self._eof_follows = not capabilities & p.CLIENT_DEPRECATE_EOF
        self._eof_tells = not capabilities & p.CLIENT_LONG_PASSWORD  # its flags, that the session has changed
        self._phase = _FIRST
        self._left = 0
        self._skip = 0  # bytes of the packet's payload that are still to come and say nothing
        self._continued = False  # the next packet goes on with the payload of the last one
        self._stash = bytearray()  # the beginning of a packet
        self._needed = 0  # how many bytes of it have to be there to go on
        self._ok = b""  # the last OK packet answering a command of ours, which the next one nearly always equals
        self._ok_status = 0

    @property
    def in_step(self) -> bool:
        """Whether every command was written whole, every reply has come whole, and all of it was understood."""
        waiting = self.due or self.own_due or self._stash
        writing = self._out_left or self._out_head or self._out_continued
        return not (waiting or writing or self.doubt or self.lost)

    # -- what comes in --------------------------------------------------------------------------------------------

    def received(self, data: Buffer, start: int, end: int) -> int:
        """Bytes came, at data[start:end]. How many of them, at the front, are answers to commands of the pool's own."""
        chunk = data if isinstance(data, bytes) and end - start == len(data) else bytes(data[start:end])
        known = len(self._stash)
        if known:
            self._stash += chunk
            if len(self._stash) < self._needed:
                return end - start if self._is_ours else 0
            chunk, self._stash = bytes(self._stash), bytearray()
        return max(0, self._follow(chunk) - known)

    def _follow(self, data: bytes) -> int:
        """Go through what has come of the stream, packet by packet; where the part at its front that is ours ends."""
        at, ours_end, end = 0, 0, len(data)
        while at < end and self.doubt is None:
            ours = self._is_ours
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
            elif self._continued or self._phase not in (_COLUMNS, _ROWS):
                at = self._next_packet(data, at, end)
            elif self._phase == _ROWS:
                at = self._pass_rows(data, at, end)
            else:
                at = self._pass_columns(data, at, end)
            if ours:
                ours_end = at
        return ours_end

    def _next_packet(self, data: bytes, at: int, end: int) -> int:
        """One packet, or what there is of it; where it, or that, ends."""
        payload_at = at + _HEADER
        if end < payload_at:
            return self._keep(data, at, end, _HEADER)
        length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
        if self._continued:
            self._skip, self._continued = length, length == p.LONGEST
            return payload_at
        packet_end = payload_at + length
        if end < packet_end or length == p.LONGEST:
            if self._phase == _FIRST and self._commands and self._commands[0] in p.ROWS_ALONE:
                self._phase = _ROWS
                return at
            if length < p.LONGEST:
                return self._keep(data, at, end, _HEADER + length)
        if length == p.LONGEST or not length:
            self.distrust("a packet of an impossible length came")
            return payload_at
        if not self._is_usual(data, at, length):
            self._read(data[payload_at:packet_end], data[at:payload_at])
        self._is_ours = bool(self._commands) and self._commands[0] >= OURS
        return packet_end

    def _is_usual(self, data: bytes, at: int, length: int) -> bool:
        """The three packets that nearly all traffic consists of, read without taking them apart; whether it is one."""
        first = data[at + _HEADER]
        if self._is_ours:
            if not self._ok or not data.startswith(self._ok, at):
                return False
            self.status = self._ok_status
            self._ends(None)
        elif self._phase == _ROWS_END and length == 7 and not self._eof_follows and not (data[at + 5] or data[at + 6]):
            status = data[at + 7] | data[at + 8] << 8
            if status & _NEWS or data[at + 9] or data[at + 10]:
                return False
            self.status, self.unheard = status, False
            self._ends(None)
        elif self._phase == _FIRST and length == 1 and 0 < first < p.LOCAL_INFILE and self._commands:
            if self._commands[0] != p.COM_QUERY:
                return False
            self._left, self._phase = first, _COLUMNS
            self.unsafe = self.unsafe or (self._eof_follows and not self._eof_tells)
        else:
            return False
        return True

    def _keep(self, data: bytes, at: int, end: int, needed: int) -> int:
        """The beginning of a packet, until `needed` bytes of it are there; where what has come ends."""
        self._stash += data[at:end]
        self._needed = needed
        return end

    def _pass_columns(self, data: bytes, at: int, end: int) -> int:
        """Column definitions, which nobody looks at here; where they, or what there is of them, end."""
        last = end - _HEADER
        while at < last and self._left:
            if data[at + _HEADER] == p.ERR:
                return self._next_packet(data, at, end)
            at += _HEADER + (data[at] | data[at + 1] << 8 | data[at + 2] << 16)
            self._left -= 1
        if not self._left:
            self._phase = _COLUMNS_END if self._eof_follows else _ROWS
        if at < end and self._left:
            return self._keep(data, at, end, _HEADER + 1)
        self._skip = max(0, at - end)
        return min(at, end)

    def _pass_rows(self, data: bytes, at: int, end: int) -> int:
        """Rows, which nobody looks at here, up to the packet that ends them; where that begins."""
        last = end - _HEADER
        while at < last:
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            first = data[at + _HEADER]
            if first >= p.EOF and (first == p.ERR or length < (9 if self._eof_follows else p.LONGEST)):
                self._phase = _ROWS_END
                return at
            at += _HEADER + length
            if at > end or length == p.LONGEST:
                self._skip, self._continued = max(0, at - end), length == p.LONGEST
                return min(at, end)
        return self._keep(data, at, end, _HEADER + 1)

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
            if self._commands[0] >= OURS and not reply.status & p.SERVER_SESSION_STATE_CHANGED:
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
        if self._commands[0] >= OURS:
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
        error = p.read_error(payload) if self._commands[0] >= OURS else None
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
        command = self._commands.popleft()
        if command < OURS:
            self.due -= 1
            return
        self.own_due -= 1
        self._own_error = self._own_error or error
        if command & LAST and self._waiting:  # or they were told that the connection was lost
            error, self._own_error = self._own_error, None
            self._waiting.popleft()(error)
