"""How a session is made clean again, and when it is clean already. Nothing else in the package decides this.

The baseline of a connection (`baseline.py`) is what a new one has: database, role, every session variable,
`init_command`, `on_connect`, and the settings of the driver's own object. COM_RESET_CONNECTION rolls back and clears
user variables, temporary tables, locks, prepared statements and session variables; what it takes away of the baseline
is said again with it.

Nothing is decided by reading statements. A role is always said again unless the account has none to change to; the
schema where the server says that it has changed, or cannot say.

https://dev.mysql.com/doc/c-api/8.4/en/mysql-reset-connection.html
https://mariadb.com/kb/en/com_reset_connection/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_mysqlpool.connection.baseline import resets_all
from async_mysqlpool.drivers.run import answered, attempt, run
from async_mysqlpool.wire.packets import COM_PING, COM_QUERY, Command

if TYPE_CHECKING:
    from async_mysqlpool.config import Reset
    from async_mysqlpool.connection.baseline import Baseline, Packets
    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.drivers import Driver

__all__ = [
    "NotRestorableError",
    "begin_reset",
    "is_clean",
    "left_open",
    "may_have_moved",
    "prove_pipelining",
    "refresh",
    "reset",
]

# Statements shorter and longer than what restores a session, and than what proxies read at once.
_LENGTHS = (10, 200, 2000, 20_000)


class NotRestorableError(Exception):
    """The session cannot be brought back to its baseline; nothing failed."""


def begin_reset(driver: Driver, entry: Entry, mode: Reset, cork: bool) -> bool:
    """Write what makes the session clean, without waiting for the replies; False if this one has to be waited for.

    `entry.on_reset` is told how it ended.
    """
    baseline, wire = entry.baseline, entry.wire
    if baseline is None or not entry.pipelines:
        return False
    if not resets_all(mode):
        packets = baseline.rollback
    elif may_have_moved(entry):
        return False  # where the reset is refused, nobody must work in the wrong schema
    elif wire.stirred and baseline.database is None:
        return False  # whether it has chosen one has to be asked
    else:
        _restore(driver, entry, baseline)
        packets = baseline.reset_if_moved if wire.stirred else baseline.reset
    wire.send(packets.data, packets.codes, entry.on_reset, cork)
    return True


def _restore(driver: Driver, entry: Entry, baseline: Baseline) -> None:
    """What the driver itself remembers is that of a new connection again."""
    driver.restore(entry.raw, baseline.snapshot, entry.exposed)
    entry.exposed = False
    if entry.reader is not None:
        entry.reader.exposed = False


async def reset(driver: Driver, entry: Entry, mode: Reset) -> None:
    """Make the session clean. Whatever this raises, the connection must not be used again."""
    baseline, wire = entry.baseline, entry.wire
    if baseline is None:
        await driver.execute(entry.raw, "ROLLBACK")
        return
    if not resets_all(mode):
        await run(driver, entry.raw, wire, baseline.rollback.commands)
        return
    moved = may_have_moved(entry) or wire.stirred
    if moved and baseline.database is None and await _database(driver, entry.raw) is not None:
        raise NotRestorableError("a session that has chosen a database cannot go back to none")
    if (wire.in_transaction or wire.unheard) and await _cannot_end(driver, entry.raw):
        raise NotRestorableError("a transaction outlives its rollback, as one prepared with XA does")
    _restore(driver, entry, baseline)
    await _say(driver, entry, baseline.reset_if_moved if moved else baseline.reset)


async def _cannot_end(driver: Driver, raw: Any) -> bool:
    await driver.execute(raw, "ROLLBACK")
    rows = await attempt(driver, raw, "SELECT @@in_transaction")  # which only MariaDB has
    return rows is not None and int(rows[0][0]) > 0


async def refresh(driver: Driver, entry: Entry) -> None:
    """The end of a set-up: a new session that says the same of its last statement as one that was reset."""
    if entry.baseline is not None:
        await _say(driver, entry, entry.baseline.reset)


async def _say(driver: Driver, entry: Entry, packets: Packets) -> None:
    if entry.pipelines:
        await answered(entry.wire, packets.data, packets.codes)
    else:
        await run(driver, entry.raw, entry.wire, packets.commands)


async def _database(driver: Driver, raw: Any) -> str | None:
    name: str | None = (await driver.execute(raw, "SELECT DATABASE()"))[0][0]
    return name


async def prove_pipelining(driver: Driver, entry: Entry, mode: Reset) -> None:
    """Send a reset, a statement longer than it and a ping in one write, in several lengths, as borrowers will.

    Not everything that speaks the protocol understands that: some proxies answer out of order, or not at all.

    Raises:
        Exception: the answers are not those of this order.
    """
    if entry.baseline is None:
        return
    packets = entry.baseline.reset_if_moved if resets_all(mode) else entry.baseline.rollback
    for length in _LENGTHS:
        query = b"SELECT 1 /* " + b"." * length + b" */"
        more = [Command(COM_QUERY, query), Command(COM_PING)]
        data = packets.data + driver.encode(entry.raw, more)
        await answered(entry.wire, data, (*packets.codes, COM_QUERY, COM_PING))


def may_have_moved(entry: Entry) -> bool:
    """Whether the current schema may be another one than the baseline's, or the server would not have said so."""
    wire, baseline = entry.wire, entry.baseline
    return wire.moved or wire.unheard or baseline is None or not baseline.hears_schema


def is_clean(entry: Entry, mode: Reset) -> bool:
    """Whether there is nothing to reset: nothing was sent, or, with "auto", nothing that could have left anything.

    For "auto" the statements must be of those that are known as harmless, none may have failed, and the server's
    session tracker must not have said otherwise; any doubt means reset.
    """
    wire, baseline = entry.wire, entry.baseline
    if not (wire.touched or entry.exposed):
        return True
    if mode == "none":
        return not entry.open_transaction
    if mode != "auto" or entry.exposed or baseline is None or not baseline.autocommit:
        return False
    return baseline.hears_all and not (wire.unsafe or wire.changed or wire.unheard or wire.in_transaction)


def left_open(entry: Entry) -> str | None:
    """What a borrower left open, as far as can be told without asking the server."""
    if entry.wire.in_transaction and (entry.wire.wrote or entry.baseline is None or entry.baseline.autocommit):
        return "transaction"  # without autocommit a mere SELECT begins one, which is nothing to speak of
    return None
