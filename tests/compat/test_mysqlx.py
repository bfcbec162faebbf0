"""X DevAPI's client: options in milliseconds, sessions, statements, results."""

from __future__ import annotations

import asyncio
import json

import pytest

from async_mysqlpool import ConnectionReleasedError
from async_mysqlpool.compat import mysqlx


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [{}, {"pooling": {}}, '{"pooling": {}}', json.dumps({"pooling": {"max_size": 25, "queue_timeout": 0}})],
    )
    def test_defaults_are_those_of_x(self, options):
        client = mysqlx.get_client({"user": "app"}, options)
        assert (client.pool.min_size, client.pool.max_size) == (0, 25)

    @pytest.mark.parametrize(
        "pooling",
        [
            {"max_size": 0},
            {"max_size": True},
            {"queue_timeout": -1},
            {"max_idle_time": 1.5},
            {"enabled": 1},
            {"maxsize": 3},
        ],
    )
    @pytest.mark.parametrize("error", [AttributeError, mysqlx.InterfaceError, ValueError])
    def test_wrong_options_are_an_interface_error_and_an_attribute_error(self, pooling, error):
        with pytest.raises(error, match="pooling"):
            mysqlx.get_client({}, {"pooling": pooling})

    @pytest.mark.parametrize("uri", ["mysqlx://app:secret@db.example:3307/shop", "app:secret@db.example:3307/shop"])
    def test_a_connection_may_be_a_uri(self, uri):
        assert mysqlx.get_client(uri, {}).pool.name == "db.example:3307/shop"

    def test_a_schema_is_a_database(self):
        client = mysqlx.get_client({"host": "db.example", "schema": "shop", "connect-timeout": 500}, {})
        assert client.pool.name == "db.example:3306/shop"

    @pytest.mark.parametrize("tls", [{"ssl-mode": "required"}, {"ssl-ca": "ca.pem"}, {"tls-versions": ["TLSv1.3"]}])
    def test_tls_is_never_switched_off_silently(self, tls):
        with pytest.raises(mysqlx.InterfaceError, match=r"ssl\.SSLContext"):
            mysqlx.get_client(tls, {})

    async def test_the_x_port_is_pointed_out(self):
        client = mysqlx.get_client({"host": "127.0.0.1", "port": 33060, "connect-timeout": 5000}, {})
        with pytest.raises(mysqlx.errors.Error, match="the classic one is at 3306"):
            await client.get_session()
        await client.close()


class TestRow:
    row = mysqlx.Row(["id", "name"], (7, "Ada"))

    def test_values_are_found_by_name_and_by_position(self):
        assert (self.row["id"], self.row["name"], self.row[0], self.row[1]) == (7, "Ada", 7, "Ada")
        assert list(self.row) == [7, "Ada"]

    def test_what_is_not_there_is_an_error(self):
        with pytest.raises(ValueError, match="'email' not found"):
            self.row["email"]
        with pytest.raises(IndexError):
            self.row[2]


@pytest.fixture
def client(arguments, closing):
    def make(**pooling):
        return closing(mysqlx.get_client(arguments, {"pooling": pooling}))

    return make


@pytest.mark.server
class TestSessions:
    async def test_the_time_in_the_queue_is_milliseconds(self, client):
        pool = client(max_size=1, queue_timeout=500)
        async with asyncio.timeout(60), pool.get_session() as session:
            assert session.is_open()
            with pytest.raises(mysqlx.PoolError, match=r"max size has been reached: .* no connection after"):
                await asyncio.create_task(pool.get_session())
        assert not session.is_open()
        async with pool.get_session() as session:
            assert (await session.sql("SELECT 1").execute()).fetch_one()[0] == 1

    async def test_a_task_that_holds_all_sessions_gets_no_other(self, client):
        pool = client(max_size=1)
        async with asyncio.timeout(60), pool.get_session():
            with pytest.raises(mysqlx.PoolError, match="pool max size has been reached"):
                await pool.get_session()

    async def test_a_returned_session_comes_back_clean_on_the_same_connection(self, client):
        pool = client(max_size=1)
        seen = []
        for _ in range(2):
            session = await pool.get_session()
            row = (await session.sql("SELECT CONNECTION_ID() AS id, @mine AS mine").execute()).fetch_one()
            seen.append((row["id"], row["mine"]))
            await session.sql("SET @mine = 1").execute()
            await session.close()
            await session.close()
        assert seen[0] == seen[1] == (seen[0][0], None)

    async def test_a_closed_session_says_so(self, client):
        session = await client().get_session()
        await session.close()
        with pytest.raises(ConnectionReleasedError):
            await session.sql("SELECT 1").execute()

    async def test_a_closed_client_gives_nothing(self, client):
        pool = client()
        await pool.close()
        with pytest.raises(mysqlx.PoolError, match="closed"):
            await pool.get_session()

    async def test_without_pooling_each_session_is_a_connection(self, client):
        pool = client(enabled=False)
        ids = set()
        for _ in range(2):
            async with pool.get_session() as session:
                ids.add((await session.sql("SELECT CONNECTION_ID()").execute()).fetch_one()[0])
        assert len(ids) == 2

    async def test_a_wrong_password_is_an_interface_error(self, arguments, closing):
        client = closing(mysqlx.get_client(arguments | {"password": "wrong"}, {}))
        with pytest.raises(mysqlx.InterfaceError) as caught:
            await client.get_session()
        assert caught.value.errno in {1045, 1698}

    async def test_an_unreachable_server_is_a_pool_error(self, closing):
        client = closing(mysqlx.get_client({"host": "127.0.0.1", "port": 1}, {}))
        with pytest.raises(mysqlx.PoolError, match="Unable to connect to any of the target hosts"):
            await client.get_session()

    async def test_a_cancelled_borrower_loses_nothing(self, client):
        pool = client(max_size=1)
        session = await pool.get_session()
        waiter = asyncio.create_task(pool.get_session())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await session.close()
        async with asyncio.timeout(10), pool.get_session() as session:
            assert session.is_open()


@pytest.mark.server
class TestStatements:
    @pytest.fixture
    async def session(self, client):
        async with client().get_session() as session:
            yield session

    async def test_question_marks_are_filled_in_order(self, session):
        statement = (
            session.sql("SELECT ? AS a, '?' AS b, \"it's ?\" AS c, ? AS d, 7 % 4 AS e -- ?").bind(1).bind(["x%s"])
        )
        row = (await statement.execute()).fetch_one()
        assert [row[name] for name in "abcde"] == [1, "?", "it's ?", "x%s", 3]

    async def test_without_values_a_percent_sign_is_one(self, session):
        assert (await session.sql("SELECT 7 % 4, '%s'").execute()).fetch_one()[1] == "%s"

    async def test_rows_are_fetched_one_by_one_or_together(self, session):
        result = await session.sql("SELECT 1 AS n UNION SELECT 2 UNION SELECT 3").execute()
        assert result.has_data()
        assert result.fetch_one()["n"] == 1
        assert [row["n"] for row in result.fetch_all()] == [2, 3]
        assert result.fetch_all() == []
        assert result.fetch_one() is None
        assert not result.next_result()

    async def test_changes_are_counted(self, session):
        await session.sql("CREATE TEMPORARY TABLE item (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT)").execute()
        result = await session.sql("INSERT INTO item (name) VALUES (?), (?)").bind("a", "b").execute()
        assert (result.get_affected_items_count(), result.get_autoincrement_value()) == (2, 1)
        assert not result.has_data()
        assert result.fetch_one() is None

    async def test_a_procedure_returns_several_results(self, session):
        await session.sql("DROP PROCEDURE IF EXISTS compat_two_results").execute()
        await session.sql("CREATE PROCEDURE compat_two_results() BEGIN SELECT 1 AS a; SELECT 2 AS b; END").execute()
        result = await session.sql("CALL compat_two_results()").execute()
        assert result.fetch_one()["a"] == 1
        assert result.next_result()
        assert result.fetch_one()["b"] == 2

    async def test_errors_of_the_server_have_its_number(self, session):
        with pytest.raises(mysqlx.ProgrammingError) as caught:
            await session.sql("SELECT * FROM compat_no_such_table").execute()
        assert caught.value.errno == 1146
        assert isinstance(caught.value, mysqlx.errors.DatabaseError)

    async def test_transactions(self, session, admin):
        await admin.execute("DROP TABLE IF EXISTS compat_x")
        await admin.execute("CREATE TABLE compat_x (id INT)")
        for finish in (session.rollback, session.commit):
            await session.start_transaction()
            await session.sql("INSERT INTO compat_x VALUES (1)").execute()
            await finish()
        assert await admin.fetch_value("SELECT COUNT(*) FROM compat_x") == 1
