"""Tortoise ORM on the pools of `compat`: it looks into the driver's cursors and connections for what it needs."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest

from async_mysqlpool import compat

pytest.importorskip("tortoise", reason="Tortoise ORM is not installed")

from tortoise import Tortoise, fields
from tortoise.backends.mysql import client
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.models import Model
from tortoise.transactions import in_transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from async_mysqlpool.testing import Server

pytestmark = pytest.mark.server

# What the ORM's module imports: the driver, its errors, its numbers of commands.
DRIVERS = {
    "asyncmy": ("asyncmy.errors", "asyncmy.constants.COMMAND"),
    "aiomysql": ("pymysql.err", "pymysql.constants.COMMAND"),
}


class Guest(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=40, unique=True)
    born = fields.DatetimeField(null=True)


@pytest.fixture(params=DRIVERS)
async def orm(
    request: pytest.FixtureRequest, flavor: str, servers: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """The ORM, its pool of two being ours, and a table without rows."""
    errors, command = DRIVERS[request.param]
    monkeypatch.setattr(client, "mysql", importlib.import_module(f"{compat.__name__}.{request.param}"))
    monkeypatch.setattr(client, "errors", importlib.import_module(errors))
    monkeypatch.setattr(client, "COMMAND", importlib.import_module(command))
    server = servers(flavor)
    credentials = {
        **{name: getattr(server, name) for name in ("host", "port", "user", "password", "database")},
        "maxsize": 2,
        "time_zone": "+02:00",
    }
    engine = {"engine": "tortoise.backends.mysql", "credentials": credentials}
    await Tortoise.init(
        {
            "connections": {"default": engine},
            "apps": {"models": {"models": [__name__], "default_connection": "default"}},
        }
    )
    connection = Tortoise.get_connection("default")
    await connection.execute_script("DROP TABLE IF EXISTS guest")
    await Tortoise.generate_schemas()
    yield connection
    await Tortoise.close_connections()


@pytest.fixture(params=["mariadb", "mysql"])
def flavor(request: pytest.FixtureRequest) -> str:
    return request.param


async def names() -> list[str]:
    return [guest.name for guest in await Guest.all().order_by("id")]


async def test_rows_are_read_and_written(orm: Any):
    ann = await Guest.create(name="Ann")
    await Guest.bulk_create([Guest(name=name) for name in ("Bob", "Cleo")])
    assert await names() == ["Ann", "Bob", "Cleo"]
    assert await Guest.get(id=ann.id) == ann
    assert await Guest.filter(name="Bob").update(name="Bert") == 1
    assert await Guest.get_or_create(name="Dora") == (await Guest.get(name="Dora"), True)
    await ann.delete()
    assert await Guest.all().order_by("-name").values_list("name", flat=True) == ["Dora", "Cleo", "Bert"]
    with pytest.raises(IntegrityError):
        await Guest.create(name="Dora")
    with pytest.raises(OperationalError):
        await orm.execute_query("SELECT nothing FROM nowhere")
    assert await orm.execute_query_dict("SELECT 1 AS a, 2 AS b WHERE 1 = 0") == []


async def test_blocks_in_blocks(orm: Any):
    """Their savepoints are sent by private parts of the driver's connection."""
    async with in_transaction():
        await Guest.create(name="stays")
        async with in_transaction():
            await Guest.create(name="stays, too")
        with pytest.raises(ZeroDivisionError):
            async with in_transaction():
                await Guest.create(name="goes")
                raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        async with in_transaction():
            await Guest.create(name="goes, too")
            raise ZeroDivisionError
    assert await names() == ["stays", "stays, too"]


async def test_each_connection_has_the_time_zone_of_the_credentials(orm: Any):
    both = asyncio.Barrier(2)

    async def zone() -> list[dict[str, str]]:
        async with in_transaction() as connection:
            await both.wait()
            return await connection.execute_query_dict("SELECT @@time_zone AS zone")

    assert await asyncio.gather(zone(), zone()) == [[{"zone": "+02:00"}]] * 2


async def test_the_columns_are_all_that_is_handed_out(orm: Any):
    """The driver's result knows its connection, which would lead past the guard."""
    async with orm.acquire_connection() as connection, connection.cursor() as cursor:
        assert cursor._result is None
        await cursor.execute("SELECT 1 AS a")
        assert [field.name for field in cursor._result.fields] == ["a"]
        assert not hasattr(cursor._result, "connection")
        with pytest.raises(AttributeError):
            connection._writer  # noqa: B018
