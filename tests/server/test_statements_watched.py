"""Statements of real drivers, told of alike: read by us, by the driver's own cursors, row by row, failed."""

from __future__ import annotations

import pytest
from kit import unbuffered

from async_mysqlpool import events


class Statements:
    def __init__(self):
        self.ended = []

    def on_event(self, event):
        pass

    def on_statement(self, event):
        if isinstance(event, events.StatementEnded):
            self.ended.append(event)


@pytest.fixture
def statements():
    return Statements()


THREE = "SELECT 1 UNION SELECT 2 UNION SELECT %s"


@pytest.mark.parametrize("read_results", [True, False])
async def test_each_is_told_of_with_its_rows(admin, pools, statements, read_results):
    pool = await pools(observers=[statements], read_results=read_results, max_size=1)
    for _ in range(4):  # from the third on, read by us where that is possible
        assert list(await pool.fetch_all(THREE, (3,))) == [(1,), (2,), (3,)]
        await pool.execute("UPDATE probe SET value = value + 1 WHERE id = %s", (1,))
    assert [(e.started.digest, e.rows, e.number) for e in statements.ended] == 4 * [
        ("SELECT ? UNION SELECT ? UNION SELECT ?", 3, None),
        ("UPDATE probe SET value = value + ? WHERE id = ?", 1, None),
    ]
    assert all(0 < e.took < 60 for e in statements.ended)
    table = {statement.digest: statement for statement in pool.statements()}
    assert {(s.count, s.rows, s.errors) for s in table.values()} == {(4, 12, 0), (4, 4, 0)}
    admin.rows("UPDATE probe SET value = 10 WHERE id = 1")


async def test_many_at_once_and_procedures(pools, statements):
    pool = await pools(observers=[statements], max_size=1)
    async with pool.transaction() as conn, conn.cursor() as cursor:
        await cursor.executemany("UPDATE probe SET value = value WHERE id = %s", [(1,), (2,)])
    async with pool.acquire() as conn, conn.cursor() as cursor:
        await cursor.callproc("commits", ())
    assert [(e.started.method, e.started.digest, e.started.batch) for e in statements.ended] == [
        ("block", "START TRANSACTION", 0),
        ("executemany", "UPDATE probe SET value = value WHERE id = ?", 2),
        ("commit", "COMMIT", 0),
        ("callproc", "CALL commits", 0),
    ]


async def test_row_by_row_the_number_of_rows_is_not_known(driver, pools, statements):
    pool = await pools(observers=[statements], max_size=1)
    async with pool.acquire() as conn, conn.cursor(unbuffered(driver)) as cursor:
        await cursor.execute(THREE, (3,))
        assert len(await cursor.fetchall()) == 3
    assert [event.rows for event in statements.ended] == [None]


async def test_an_error_has_the_servers_number(pools, statements):
    pool = await pools(observers=[statements], max_size=1)
    with pytest.raises(Exception, match="nowhere"):
        await pool.fetch_all("SELECT * FROM nowhere WHERE a = 'secret'")
    (event,) = statements.ended
    assert (event.number, event.started.digest) == (1146, "SELECT * FROM nowhere WHERE a = ?")


async def test_a_comment_reaches_the_server(admin, pools):
    class Commenting(Statements):
        def on_statement(self, event):
            return "traceparent='00-1-2-01'" if isinstance(event, events.StatementStarted) else None

    pool = await pools(observers=[Commenting()], max_size=1)
    sql = "SELECT info FROM information_schema.processlist WHERE id = CONNECTION_ID() AND 1 = %s ;"
    for _ in range(3):
        assert (await pool.fetch_value(sql, (1,))).endswith("= 1 /*traceparent='00-1-2-01'*/")


async def test_the_pool_knows_which_server_it_is(pools, server):
    pool = await pools()
    assert pool.server.flavor == server.flavor
    assert (pool.server.host, pool.server.port, pool.server.database) == (server.host, server.port, server.database)
    assert pool.server.version[0].isdigit()
