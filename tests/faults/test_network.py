"""A network that freezes, slows down, garbles or ends in the middle: in each phase of a connection's life."""

from __future__ import annotations

import asyncio
import socket

import pytest
from kit import eventually
from lab import ALL, EACH_DRIVER, SOME, ask, outcomes, settled

from async_mysqlpool import AcquireTimeoutError, ConnectError, ServerUnavailableError


class TakenForGoodError(Exception):
    """What was half a reply, or garbage, was taken for one."""


@pytest.fixture
async def places(pools, proxy):
    """Numbers of bytes after which the server's side of a connect stops, from the greeting to the last reply."""
    pool = await pools(min_size=1, max_size=1)  # the first one may ask for more: a public key, a session ticket
    await pool.close()
    before = proxy.received
    pool = await pools(min_size=1, max_size=1)
    total = proxy.received - before
    await pool.close()
    return [0, 4, *(total * step // 8 for step in range(1, 8))]


# -- connect, greeting, authentication, session set-up ----------------------------------------------------------------


@EACH_DRIVER
async def test_tcp_connect_that_nobody_answers(driver, pools):
    """A listener whose queue is full drops what comes: the client's SYN is sent again and again."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        pool = await pools(wait=False, min_size=0, max_size=3, connect_timeout=0.3, port=deaf.getsockname()[1])
        assert await outcomes([ask(pool, number) for number in range(9)]) == {"ServerUnavailableError": 9}
        assert (await settled(pool, lambda stats: stats.size == 0)).size == 0


@SOME
@pytest.mark.parametrize("then", ["freeze", "cut", "half-close"])
async def test_connect_that_stops_half_way(places, pools, proxy, then, whole):
    """Wherever it stops, connect_timeout is the bound; what was half open is closed; then all is as before."""
    pool = await pools(wait=False, min_size=0, max_size=2, max_connecting=2, connect_timeout=0.5)
    for place in places[:: 2 if then == "freeze" else 1]:
        proxy.stop(place, then, links="new")
        with pytest.raises(ServerUnavailableError):
            await must_not_connect(pool, place)
        proxy.thaw()
        assert await eventually(lambda: proxy.open, lambda count: count == 0) == 0
        await eventually_works(pool)
        pool.expire()
    await pool.resize(max_size=3)
    await whole(pool)


@SOME
async def test_garbage_in_the_middle_of_a_connect(places, pools, proxy, whole):
    """Whatever the server seems to say, it is an error of the pool's within connect_timeout, and no connection."""
    pool = await pools(wait=False, min_size=0, max_size=2, connect_timeout=0.5)
    for place in places:
        proxy.garble(place, links="new")
        with pytest.raises(ConnectError):
            await must_not_connect(pool, place)
        proxy.thaw()
        assert await eventually(lambda: proxy.open, lambda count: count == 0) == 0
        await eventually_works(pool)
        pool.expire()
    await whole(pool)


async def must_not_connect(pool, place):
    async with pool.acquire(timeout=60):
        raise TakenForGoodError(f"connected, though from byte {place} on nothing was right")


async def eventually_works(pool):
    """The backoff may still tell the first ones of the failure."""
    async with asyncio.timeout(30):
        while await outcomes([ask(pool, 5)]) != {"ok": 1}:
            await asyncio.sleep(0.02)


# -- ping, statement, reset, close ------------------------------------------------------------------------------------


@ALL
async def test_frozen_while_idle_and_found_out_by_the_ping(pools, proxy, whole):
    pool = await pools(min_size=4, max_size=4, validate_after=0, validation_timeout=0.2)
    await whole(pool)
    proxy.freeze("open")
    # The first ones ping the dead connections; nobody is given one.
    assert await outcomes([ask(pool, number) for number in range(20)]) == {"ok": 20}
    await whole(pool)


@SOME
async def test_frozen_in_a_statement(pools, proxy, whole):
    """The borrower's own patience is the bound; the connection is gone, and so is what it might still say."""
    pool = await pools(max_size=3, connect_timeout=2, validation_timeout=0.2)
    await whole(pool)
    asking = [asyncio.create_task(ask(pool, number, 0.3)) for number in range(3)]
    await settled(pool, lambda stats: stats.in_use == 3)
    await asyncio.sleep(0.1)
    proxy.freeze()
    for task in asking:
        task.cancel()
    assert await outcomes(asking) == {"CancelledError": 3}
    # The killers come to nothing within connect_timeout.
    assert (await settled(pool, lambda stats: stats.closing == 0)).closing == 0
    proxy.thaw()
    await eventually_works(pool)
    await whole(pool)


@SOME
async def test_frozen_while_the_reset_is_under_way(pools, proxy, whole):
    """Its reply is read with the next command's: the one who came next must not pay for it with a hang."""
    pool = await pools(max_size=1, validate_after=0, validation_timeout=0.2, connect_timeout=5)
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT 1")
        await cursor.fetchall()
        proxy.freeze("open")
    assert await outcomes([ask(pool, 2)]) == {"ok": 1}
    await whole(pool)


@SOME
async def test_frozen_while_a_transaction_is_rolled_back(pools, proxy, whole):
    """That reset is awaited by a task of the pool's own: bounded by connect_timeout, and the place comes back."""
    pool = await pools(max_size=1, connect_timeout=2)
    async with pool.acquire() as connection:
        await connection.begin()
        proxy.freeze("open")
    assert await outcomes([ask(pool, 2)]) == {"ok": 1}
    assert pool.stats().closed == {"reset failed": 1}
    await whole(pool)


@SOME
async def test_frozen_while_connections_are_closed(pools, proxy, whole):
    pool = await pools(min_size=3, max_size=3)
    proxy.freeze("open")
    pool.expire()
    assert await outcomes([ask(pool, number) for number in range(9)]) == {"ok": 9}
    await whole(pool)


@EACH_DRIVER
async def test_frozen_when_the_pool_is_closed(pools, proxy):
    """The polite goodbye has its own second; nobody waits for a dead network."""
    pool = await pools(min_size=3, max_size=3)
    proxy.freeze()
    async with asyncio.timeout(30):
        await pool.close(timeout=None)
    assert (pool.closed, pool.size) == (True, 0)


@SOME
async def test_frozen_for_a_while_and_thawed(pools, proxy, whole):
    """Nobody gave up meanwhile: nobody sees anything."""
    pool = await pools(max_size=5, validation_timeout=30, connect_timeout=30)
    asking = [asyncio.create_task(ask(pool, number)) for number in range(100)]
    await asyncio.sleep(0)
    proxy.freeze()
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in asking)
    proxy.thaw()
    assert await outcomes(asking) == {"ok": 100}
    await whole(pool)


@SOME
async def test_frozen_for_everybody_who_waits(pools, proxy, whole):
    pool = await pools(max_size=2, queue_timeout=0.5, validate_after=0, validation_timeout=0.1, connect_timeout=10)
    proxy.freeze()
    ended = await outcomes([ask(pool, number) for number in range(50)])
    assert ended == {AcquireTimeoutError.__name__: 50}
    proxy.thaw()
    await eventually_works(pool)
    await whole(pool)


@SOME
async def test_slow_network(pools, proxy, whole):
    """Ten times slower than anybody would like, and everything still right."""
    proxy.slow(delay=0.005)
    pool = await pools(max_size=4)
    assert await outcomes([ask(pool, number) for number in range(40)]) == {"ok": 40}
    proxy.slow(rate=20_000)
    assert await outcomes([ask(pool, number) for number in range(20)]) == {"ok": 20}
    await whole(pool)


@SOME
async def test_half_a_reply(pools, proxy, whole):
    """The server's answer to a statement ends in the middle, after each possible number of bytes."""
    pool = await pools(max_size=2)
    for place in range(0, 60, 7):
        await eventually_works(pool)
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("DO 0")  # replies of the last reset are in
            proxy.stop(place, ["cut", "half-close"][place % 2], links="open")
            with pytest.raises(Exception) as caught:
                await cursor.execute("SELECT 'a long enough answer', REPEAT('x', 200)")
                rows = await cursor.fetchall()
                raise TakenForGoodError(rows)
            assert not isinstance(caught.value, TakenForGoodError)
        proxy.thaw()
    await eventually_works(pool)
    await whole(pool)


@SOME
async def test_garbage_in_a_reply(pools, proxy, whole):
    """From some byte on the answer is garbage. A row whose own bytes were garbled in transit no driver can tell."""
    pool = await pools(max_size=1)
    for place in (0, 1, 3, 4, 5, 9):
        await eventually_works(pool)
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("DO 0")
            proxy.garble(place, links="open")
            with pytest.raises(Exception) as caught:
                async with asyncio.timeout(0.3):  # a garbled length makes the driver wait for megabytes
                    await cursor.execute("SELECT 'right'")
                    rows = await cursor.fetchall()
                    raise TakenForGoodError(rows)
            assert not isinstance(caught.value, TakenForGoodError)
        # As it was before: whatever was garbled is not read by anybody.
        assert await outcomes([ask(pool, 11)]) == {"ok": 1}
        proxy.thaw()
    await whole(pool)


@SOME
async def test_garbage_in_the_reply_to_a_reset(pools, proxy, whole):
    """It was sent at release, and comes back with the next borrower's first reply, who must not get a wrong row."""
    pool = await pools(max_size=1, connect_timeout=2)
    for _ in range(2):
        await eventually_works(pool)
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT 1")
            proxy.garble(links="open")
        with_garbage = asyncio.create_task(ask(pool, 3))
        await asyncio.wait([with_garbage], timeout=0.3)
        with_garbage.cancel()
        ended = await outcomes([with_garbage])
        assert "AssertionError" not in ended
        proxy.thaw()
    await eventually_works(pool)
    await whole(pool)
