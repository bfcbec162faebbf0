"""Servers that are there but do not want us: full, read-only, going down, with another password, somewhere else."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pymysql
import pytest
from kit import eventually, rows
from lab import ALL, SOME, ask, outcomes, settled

from async_mysqlpool import ConnectError, ConnectionPool, ServerFullError, ServerUnavailableError
from async_mysqlpool.testing.proxy import Proxy


def ids(admin, account):
    return set(admin.connection_ids(account.user))


async def all_ids(pool):
    """The server's ids of `max_size` connections borrowed at once."""
    leases = [await pool.acquire(timeout=30) for _ in range(pool.max_size)]
    try:
        return {(await rows(lease, "SELECT CONNECTION_ID()"))[0][0] for lease in leases}
    finally:
        for lease in leases:
            lease.close()


# -- full -------------------------------------------------------------------------------------------------------------


@contextmanager
def full(admin, server):
    """Others have all the connections that the server allows."""
    usual = admin.value("SELECT @@max_connections")
    others = []
    try:
        admin.rows("SET GLOBAL max_connections = 10")
        with pytest.raises(pymysql.err.OperationalError, match="1040"):
            while True:
                others.append(
                    pymysql.connect(host=server.host, port=server.port, user=server.user, password=server.password)
                )
        yield
    finally:
        admin.rows(f"SET GLOBAL max_connections = {usual}")
        for other in others:
            other.close()


@SOME
async def test_max_connections_reached(account, admin, pools, server, whole):
    """1040 is back-pressure while the pool has a connection: everybody is served by those there are."""
    pool = await pools(min_size=1, max_size=10, queue_timeout=60)
    with full(admin, server):
        assert await outcomes([ask(pool, number, 0.002) for number in range(50)]) == {"ok": 50}
        assert len(ids(admin, account)) < 10
    await whole(pool)


@SOME
async def test_max_connections_reached_and_none_of_them_ours(admin, pools, server, whole):
    """Then it is an error, at once, and its own."""
    pool = await pools(wait=False, min_size=0, max_size=5, queue_timeout=60)
    with full(admin, server), pytest.raises(ServerFullError, match="no connection left"):
        await pool.acquire()
    async with asyncio.timeout(30):
        while await outcomes([ask(pool, 1)]) != {"ok": 1}:
            await asyncio.sleep(0.02)
    await whole(pool)


@ALL
async def test_max_user_connections_reached(accounts, admin, driver, server):
    """1203 or 1226: three work, the others wait, and the attempts are paced.

    No session resets here: MariaDB (10.11) does not count a connection any more once it was reset.
    """
    limited = accounts("SELECT ON test.*", "WITH MAX_USER_CONNECTIONS 3")
    async with Proxy(server) as proxy:
        dsn = server.dsn(driver, user=limited.user, password=limited.password)
        where = {"host": proxy.host, "port": proxy.port}
        async with ConnectionPool(dsn, max_size=10, queue_timeout=60, reset="rollback", **where) as pool:
            assert await outcomes([ask(pool, number, 0.01) for number in range(60)]) == {"ok": 60}
            assert 1 <= len(ids(admin, limited)) <= 3
            assert proxy.attempts <= 40  # sixty tasks for ten places that are not to be had


# -- read-only, shutting down -----------------------------------------------------------------------------------------


async def fails_with(pool, sql, number):
    """One statement that the server refuses with this error."""
    async with pool.acquire(timeout=30) as connection, connection.cursor() as cursor:
        with pytest.raises(Exception) as caught:
            await cursor.execute(sql)
        assert pool.driver.error_number(caught.value) == number


# What old primaries say, in the words of the server; SIGNAL says it on our behalf.
SIGNALS = {
    "1290 read-only": (1290, "The server is running with the --read-only option so it cannot execute this", True),
    "1290 super": (1290, "The MySQL server is running with the --super-read-only option", True),
    "1290 other": (1290, "The server is running with the --secure-file-priv option so it cannot execute this", False),
    "1792": (1792, "Cannot execute statement in a transaction of that kind", False),
    "1836": (1836, "Running in read-only mode", True),
    "1047": (1047, "WSREP has not yet prepared node for application use", False),
    "1053": (1053, "Server shutdown in progress", False),
    "1927": (1927, "Connection was killed", False),
    "1644": (1644, "an error of the application", False),
}
DISCONNECTS = {"1047", "1053", "1927"}


@SOME
@pytest.mark.parametrize("what", SIGNALS)
async def test_what_an_error_says_about_the_connections(pools, what):
    """Read-only: all are replaced. Going down: this one is, and the others are pinged first. Else: nothing happens."""
    number, text, failover = SIGNALS[what]
    pool = await pools(min_size=3, max_size=3)
    before = await all_ids(pool)
    await fails_with(pool, f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = '{text}'", number)
    kept = len(await all_ids(pool) & before)
    assert kept == (0 if failover else 2 if what in DISCONNECTS else 3)


@SOME
async def test_asking_whether_a_server_is_read_only_hides_no_failover(pools):
    """Some ask before they write; what they are told the moment after is a failover all the same."""
    pool = await pools(min_size=3, max_size=3)
    before = await all_ids(pool)
    number, text, _ = SIGNALS["1290 read-only"]
    async with pool.acquire(timeout=30) as connection:
        await rows(connection, "SELECT @@innodb_read_only")
        with pytest.raises(Exception, match="read-only"):
            await rows(connection, f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = '{text}'")
    assert not await all_ids(pool) & before


@SOME
async def test_primary_becomes_read_only(accounts, admin, driver, server):
    """Its old connections go on answering pings; only its refusal to write says what it is."""
    writer = accounts("SELECT, INSERT, UPDATE ON test.*")
    dsn = server.dsn(driver, user=writer.user, password=writer.password)
    async with ConnectionPool(dsn, min_size=3, max_size=3) as pool:
        before = await all_ids(pool)
        admin.rows("SET GLOBAL read_only = ON")
        try:
            await fails_with(pool, "UPDATE probe SET value = value + 1", 1290)
        finally:
            admin.rows("SET GLOBAL read_only = OFF")
        assert not await all_ids(pool) & before
        await pool.execute("UPDATE probe SET value = 10")


# -- passwords --------------------------------------------------------------------------------------------------------


@SOME
async def test_password_rotated_under_a_pool(account, admin, pools, proxy, whole):
    """The callable is asked for each new connection, those that the network broke included."""
    current = [account.password]
    pool = await pools(max_size=3, password=lambda: current[-1])
    for number in range(3):
        current.append(f"rotated{number}")
        admin.rows(f"ALTER USER {account.user}@'%' IDENTIFIED BY '{current[-1]}'")
        proxy.cut()
        async with asyncio.timeout(30):
            while await outcomes([ask(pool, number)]) != {"ok": 1}:
                await asyncio.sleep(0.02)
    await whole(pool)


@SOME
async def test_password_changed_and_nobody_told_the_pool(account, admin, pools, proxy):
    """Refused for good: an error at once for whoever needs a connection, not a retry; and it holds no secret."""
    pool = await pools(max_size=3, queue_timeout=600)
    admin.rows(f"ALTER USER {account.user}@'%' IDENTIFIED BY 'another'")
    pool.expire()
    with pytest.raises(ConnectError) as caught:
        await pool.acquire()
    assert not isinstance(caught.value, ServerUnavailableError)
    assert account.password not in f"{caught.value}{caught.value!r}{pool!r}"
    before = proxy.attempts
    await asyncio.sleep(0.3)
    assert proxy.attempts - before <= 1


@SOME
async def test_expired_password(accounts, admin, driver, server):
    """Refused for good, and at once: no retry makes a password valid again."""
    expired = accounts("SELECT ON test.*")
    admin.rows(f"ALTER USER {expired.user}@'%' PASSWORD EXPIRE")
    if server.flavor == "mariadb":  # where it would let in and refuse every statement
        admin.rows("SET GLOBAL disconnect_on_expired_password = ON")
    pool = ConnectionPool(server.dsn(driver, user=expired.user, password=expired.password), queue_timeout=600)
    with pytest.raises(ConnectError, match=r"(?i)expired|must reset your password|ALTER USER|SET PASSWORD"):
        await pool.open(timeout=60)
    assert pool.closed


@SOME
async def test_password_callable_that_hangs_or_fails(pools, proxy, whole, account):
    """It is part of connecting, so connect_timeout bounds it; what it raises is the cause."""
    mood = ["hang"]

    async def ask_the_vault():
        if mood[-1] == "hang":
            await asyncio.Event().wait()
        if mood[-1] == "fail":
            raise LookupError("the vault is sealed")
        return account.password

    pool = await pools(wait=False, min_size=0, max_size=2, password=ask_the_vault, connect_timeout=0.3)
    with pytest.raises(ServerUnavailableError):
        await pool.acquire(timeout=60)
    mood.append("fail")
    with pytest.raises(ConnectError, match="the vault is sealed"):
        while True:
            try:
                await pool.acquire(timeout=60)
            except ServerUnavailableError:  # the backoff still tells of the failure before
                await asyncio.sleep(0.02)
    assert proxy.attempts == 0
    mood.append("well")
    async with asyncio.timeout(30):
        while await outcomes([ask(pool, 1)]) != {"ok": 1}:
            await asyncio.sleep(0.02)
    await whole(pool)


# -- names ------------------------------------------------------------------------------------------------------------


@ALL
async def test_name_that_leads_elsewhere_now(account, driver, monkeypatch, server):
    """Nothing caches an address: after a failover in the DNS, new connections go where the name points to now."""
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo
    address = ["127.0.0.2"]

    async def answer(host, *args, **kwargs):
        return await resolve(address[-1] if host == "db.test" else host, *args, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", answer)
    async with Proxy(server, host="127.0.0.2") as old, Proxy(server, host="127.0.0.3", port=old.port) as new:
        dsn = server.dsn(driver, user=account.user, password=account.password)
        async with ConnectionPool(dsn, host="db.test", port=old.port, max_size=3) as pool:
            assert await outcomes([ask(pool, number, 0.01) for number in range(9)]) == {"ok": 9}
            assert (old.attempts, new.attempts) == (3, 0)
            address.append("127.0.0.3")
            old.refuse()
            old.cut()
            async with asyncio.timeout(30):
                while (await outcomes([ask(pool, number, 0.01) for number in range(9)]))["ok"] < 9:
                    await asyncio.sleep(0.02)
            assert (old.attempts, new.attempts) == (3, 3)
            # And back, without any failure: expire() is for whoever knows that the name moved.
            address.append("127.0.0.2")
            await old.accept()
            pool.expire()
            assert await outcomes([ask(pool, number, 0.01) for number in range(9)]) == {"ok": 9}
            await settled(pool, lambda stats: stats.closing == 0)
            assert new.attempts == 3
            assert await eventually(lambda: new.open, lambda count: count == 0) == 0


@SOME
async def test_name_that_is_unknown_for_a_while(account, driver, monkeypatch, server, proxy):
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo
    known = []

    async def answer(host, *args, **kwargs):
        return await resolve(proxy.host if host == "db.test" and known else host, *args, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", answer)
    dsn = server.dsn(driver, user=account.user, password=account.password)
    pool = ConnectionPool(dsn, host="db.test", port=proxy.port, max_size=3)
    opening = asyncio.create_task(pool.open(timeout=60))
    await asyncio.sleep(0.3)
    assert not opening.done()
    known.append(True)
    await opening
    assert await outcomes([ask(pool, number) for number in range(9)]) == {"ok": 9}
    await pool.close()
