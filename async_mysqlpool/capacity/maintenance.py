"""What happens to connections that nobody touches: a pure plan, and the loop that has it carried out."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from async_mysqlpool.capacity.journal import logger
from async_mysqlpool.connection.entry import State

if TYPE_CHECKING:
    import weakref
    from collections.abc import Iterable

    from async_mysqlpool.capacity.capacity import Capacity
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.connection.entry import Entry

# Seconds between two looks for idle connections that the server has closed.
LOOK_EVERY = 5.0

# How many connections may be replaced for their age at once, so that they do not all go in the same second.
_RETIRED_AT_ONCE = 1
_BETWEEN_RETIREMENTS = 0.25  # seconds

# And how many of the idle ones are pinged at once.
_PART_PINGED_AT_ONCE = 4  # a quarter of them
_BETWEEN_PINGS = 0.1  # seconds

# The server closes an idle connection after `wait_timeout`; ours goes before.
_SAFE_PART_OF_WAIT_TIMEOUT = 0.9


class Pool(Protocol):
    """Whose connections these are."""

    @property
    def closed(self) -> bool:
        """Whether no connection can be acquired any more."""
        ...

    async def close(self, timeout: float | None) -> None:
        """Cut off who is not done within so many seconds, and stop what they have under way."""
        ...


@dataclass(slots=True)
class Plan:
    """What to do now, and when to look again (the loop's time; infinity: only when woken)."""

    retire: list[tuple[Entry, str]] = field(default_factory=list["tuple[Entry, str]"])
    ping: list[Entry] = field(default_factory=list["Entry"])
    warn: list[Entry] = field(default_factory=list["Entry"])
    open: int = 0
    wake_at: float = float("inf")


def plan(now: float, entries: Iterable[Entry], config: PoolConfig, min_size: int) -> Plan:
    """Decide who is idle, old, silent or held for too long, and how many are missing.

    Args:
        now: the loop's time.
        entries: every physical connection.
        config: the limits.
        min_size: connections to keep; `config.min_idle` of them besides those in use.
    """
    result = Plan()
    living = [e for e in entries if e.state not in {State.CLOSING, State.CLOSED}]
    idle = sorted((e for e in living if e.state is State.IDLE), key=lambda e: e.released_at)
    _retire_old(result, now, idle)
    for entry in living:
        if entry.expires_at > now:
            result.wake_at = min(result.wake_at, entry.expires_at)
    going = len(result.retire)
    spare = min(len(living) - going - min_size, len(idle) - going - config.min_idle)
    _retire_idle(result, now, idle, config, spare)
    if config.keepalive is not None:
        _ping_silent(result, now, living, config.keepalive)
    if config.hold_warning is not None:
        _warn_of_holders(result, now, living, config.hold_warning)
    in_use = sum(e.state in {State.IN_USE, State.HANDED} for e in living)
    wanted = max(min_size, config.min_idle + in_use if config.min_idle else 0)
    result.open = max(0, wanted - (len(living) - len(result.retire)))
    return result


def _heard_at(entry: Entry) -> float:
    return max(entry.released_at, entry.pinged_at)


def _patience_ends(entry: Entry) -> float:
    """When to go before the server closes a connection of which it has heard nothing for too long."""
    baseline = entry.baseline
    return float("inf") if baseline is None else _heard_at(entry) + baseline.wait_timeout * _SAFE_PART_OF_WAIT_TIMEOUT


def _retire_old(result: Plan, now: float, idle: list[Entry]) -> None:
    old = sorted((e for e in idle if e.expires_at <= now), key=lambda e: e.expires_at)
    result.retire += [(e, "lifetime") for e in old[:_RETIRED_AT_ONCE]]
    if len(old) > _RETIRED_AT_ONCE:
        result.wake_at = min(result.wake_at, now + _BETWEEN_RETIREMENTS)


def _retire_idle(result: Plan, now: float, idle: list[Entry], config: PoolConfig, spare: int) -> None:
    """The longest idle first. Below min_size only those that the server is about to close; they are replaced."""
    gone = {id(e) for e, _ in result.retire}
    for entry in idle:
        if id(entry) in gone:
            continue
        due = min(entry.released_at + (config.max_idle_time or float("inf")), _patience_ends(entry))
        server_decides = due == _patience_ends(entry)
        if due > now:
            if spare > 0 or server_decides:
                result.wake_at = min(result.wake_at, due)
        elif spare > 0 or server_decides:
            result.retire.append((entry, "idle"))
            spare -= 1
    if config.max_idle_time is not None:
        # Whatever becomes idle from now on cannot be due before this.
        result.wake_at = min(result.wake_at, now + config.max_idle_time)


def _ping_silent(result: Plan, now: float, living: list[Entry], keepalive: float) -> None:
    """The longest silent first, and a part of them at a time: the others are there to be borrowed."""
    going = {id(e) for e, _ in result.retire}
    staying = sorted((e for e in living if e.state is State.IDLE and id(e) not in going), key=_heard_at)
    pinged = sum(e.state is State.CLEANING and _heard_at(e) + keepalive <= now for e in living)
    at_once = max(1, (len(staying) + pinged) // _PART_PINGED_AT_ONCE) - pinged
    for entry in staying:
        due = _heard_at(entry) + keepalive
        if due > now:
            result.wake_at = min(result.wake_at, due)
        elif len(result.ping) < at_once:
            result.ping.append(entry)
        else:
            result.wake_at = min(result.wake_at, now + _BETWEEN_PINGS)
    result.wake_at = min(result.wake_at, now + keepalive)  # whatever becomes idle from now on


def _warn_of_holders(result: Plan, now: float, living: list[Entry], limit: float) -> None:
    for entry in living:
        if entry.state is State.IN_USE and not entry.warned:
            if entry.acquired_at + limit <= now:
                result.warn.append(entry)
            else:
                result.wake_at = min(result.wake_at, entry.acquired_at + limit)
    result.wake_at = min(result.wake_at, now + limit)


def carry_out(capacity: Capacity) -> float:
    """One round: what is dead, old or idle for too long goes, what is silent is pinged. When the next one is due."""
    now = capacity.loop.time()
    capacity.retire_idle(capacity.is_dead, "broken")
    due = plan(now, capacity.entries, capacity.config, capacity.min_size)
    for reason in {reason for _, reason in due.retire}:
        chosen = {entry for entry, why in due.retire if why == reason}
        capacity.retire_idle(chosen.__contains__, reason)
    capacity.workers.check_idle(set(due.ping).__contains__)
    for entry in due.warn:
        entry.warned = True
        capacity.journal.held_too_long(capacity.lease(entry))
    capacity.refill()
    if capacity.advisor.is_due(now):
        capacity.advisor.note(capacity.look())
    return min(due.wake_at, now + LOOK_EVERY) if capacity.entries else due.wake_at


async def run(pool_ref: weakref.ref[Pool], capacity: Capacity) -> None:
    """Carry plans out until the pool closes. Does not keep the pool alive, so a forgotten one can go."""
    wake, loop = capacity.changed, capacity.loop
    try:
        while True:
            wake.clear()
            if pool_ref() is None:
                return
            try:
                wake_at = carry_out(capacity)
            except Exception:  # noqa: BLE001
                # Foreign code was called: a driver, a log handler. Whatever it was, the next round may go well.
                logger.exception(
                    "%s: a round of maintenance failed, the next one is tried soon", capacity.name,
                    extra={"pool": capacity.name, "event": "maintenance_failed"},
                )  # fmt: skip
                wake_at = loop.time() + LOOK_EVERY
            timeout = None if wake_at == float("inf") else max(0.0, wake_at - loop.time())
            try:
                async with asyncio.timeout(timeout):
                    await wake.wait()
            except TimeoutError:
                pass
    except asyncio.CancelledError:
        # close() has set the pool's state before it cancels this task; anybody else is asyncio.run cleaning up.
        pool = pool_ref()
        if pool is not None and not pool.closed:
            text = f"{pool!r} was never closed: use `async with` or await close()"
            try:
                await pool.close(timeout=0)  # the loop waits for this task: what borrowers left running is stopped
            finally:
                warnings.warn(text, ResourceWarning, 1)
        raise
