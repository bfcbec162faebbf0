"""Never run, only checked: helpers on a pool and on a connection, and what their rows are."""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, assert_type

from async_mysqlpool import ConnectionPool, PooledConnection, RowStream


@dataclass
class User:
    id: int
    name: str


class Point(NamedTuple):
    x: int
    y: int


class Entry(TypedDict):
    id: int
    name: str


def label(**columns: object) -> str:
    return str(columns)


async def on_a_pool(pool: ConnectionPool) -> None:
    assert_type(await pool.execute("DELETE FROM t WHERE id = %s", (1,), timeout=2), int)
    assert_type(await pool.execute_many("INSERT INTO t VALUES (%(id)s)", [{"id": 1}, {"id": 2}]), int)
    assert_type(await pool.fetch_all("SELECT 1"), list[tuple[Any, ...]])
    assert_type(await pool.fetch_all("SELECT 1", rows=tuple), list[tuple[Any, ...]])
    assert_type(await pool.fetch_all("SELECT 1", rows=dict), list[dict[str, Any]])
    assert_type(await pool.fetch_all("SELECT 1", rows=User), list[User])
    assert_type(await pool.fetch_all("SELECT 1", rows=Point), list[Point])
    assert_type(await pool.fetch_all("SELECT 1", rows=Entry), list[Entry])
    assert_type(await pool.fetch_all("SELECT 1", rows=label), list[str])
    assert_type(await pool.fetch_one("SELECT 1"), tuple[Any, ...] | None)
    assert_type(await pool.fetch_one("SELECT 1", rows=dict), dict[str, Any] | None)
    assert_type(await pool.fetch_one("SELECT 1", (1,), rows=User, timeout=0.5), User | None)
    assert_type(pool.stream("SELECT 1", rows=User), RowStream[User])
    async for row in pool.stream("SELECT 1"):
        assert_type(row, tuple[Any, ...])
    async with pool.stream("SELECT 1", rows=dict) as rows:
        assert_type([row["id"] async for row in rows], list[Any])


async def on_a_connection(conn: PooledConnection) -> None:
    assert_type(await conn.execute("DELETE FROM t"), int)
    assert_type(await conn.fetch_all("SELECT 1", rows=dict), list[dict[str, Any]])
    assert_type(await conn.fetch_one("SELECT 1", rows=User), User | None)
    name: str = await conn.fetch_value("SELECT name FROM t LIMIT 1", timeout=1)
    async for user in conn.stream("SELECT 1", {"name": name}, rows=User):
        assert_type(user, User)
