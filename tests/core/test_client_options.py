"""The X DevAPI form: dict or JSON, milliseconds, 0 for no limit."""

from __future__ import annotations

import json

import pytest
from support import borrow, now, others_hold, start

from async_mysqlpool import AcquireTimeoutError, ConfigurationError, ConnectionPool
from async_mysqlpool.client_options import read_client_options
from async_mysqlpool.testing.fake import FakeDriver

POOLING = {"enabled": True, "max_size": 25, "max_idle_time": 60000, "queue_timeout": 3000}


def test_the_defaults_are_those_of_x_devapi():
    for options in ({}, {"pooling": {}}, "{}"):
        assert read_client_options(options) == {
            "pooling": True, "min_size": 0, "max_size": 25, "max_idle_time": None, "queue_timeout": None,
        }  # fmt: skip


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_milliseconds_become_seconds(form):
    given = form({"pooling": {"enabled": True, "max_size": 3, "max_idle_time": 60000, "queue_timeout": 1}})
    assert read_client_options(given) == {
        "pooling": True, "min_size": 0, "max_size": 3, "max_idle_time": 60.0, "queue_timeout": 0.001,
    }  # fmt: skip


def test_zero_means_no_limit():
    read = read_client_options({"pooling": {"max_idle_time": 0, "queue_timeout": 0}})
    assert (read["max_idle_time"], read["queue_timeout"]) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{not json", "not a JSON document"),
        ("[]", "must be a dict or a JSON object"),
        ([], "must be a dict or a JSON object"),
        ({"poolng": {}}, "unknown section 'poolng'"),
        ({"pooling": True}, "'pooling' must be an object"),
        ({"pooling": {"maxSize": 3}}, r"unknown option 'pooling.maxSize': did you mean 'max_size'"),
        ({"pooling": {"colour": 3}}, "known are enabled, max_size, max_idle_time, queue_timeout"),
        ({"pooling": {"enabled": "true"}}, "pooling.enabled must be true or false"),
        ({"pooling": {"max_size": 0}}, "pooling.max_size must be a whole number, 1 or more"),
        ({"pooling": {"max_size": 2.5}}, "pooling.max_size"),
        ({"pooling": {"max_size": True}}, "pooling.max_size"),
        ({"pooling": {"queue_timeout": -1}}, "pooling.queue_timeout must be a whole number, 0 or more"),
        ({"pooling": {"max_idle_time": "60000"}}, "pooling.max_idle_time"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(ConfigurationError, match=message):
        ConnectionPool.from_client_options("mysql://h/db", options)


@pytest.mark.parametrize(
    "connection",
    ["mysql://app@db.example/shop", {"host": "db.example", "user": "app", "schema": "shop"}],
)
async def test_the_walk_through_of_two_connections(server, connection):
    options = {"pooling": {"max_size": 2, "queue_timeout": 1000}}
    pool = ConnectionPool.from_client_options(connection, options, driver=FakeDriver(server))
    assert pool.name == "db.example:3306/shop"
    async with pool:
        async with others_hold(pool, 2):
            started = now()
            with pytest.raises(AcquireTimeoutError):
                await pool.acquire()
            assert now() - started == pytest.approx(1)
        third = await pool.acquire()
        third.close()


async def test_enabled_false_opens_and_closes_for_every_borrow_and_still_caps(server):  # SCENARIOS 220
    pool = ConnectionPool.from_client_options(
        {}, {"pooling": {"enabled": False, "max_size": 1, "queue_timeout": 500}}, driver=FakeDriver(server)
    )
    async with pool:
        assert server.connects == 0
        for number in (1, 2, 3):
            async with pool.acquire() as conn:
                assert server.connects == number
                with pytest.raises(AcquireTimeoutError):
                    await start(borrow(pool))
                assert conn.raw.thread_id() == number
        assert server.peak == 1
