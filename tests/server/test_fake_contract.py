"""The fake driver passes the checks that the real ones pass: what is tested on it holds on them."""

from __future__ import annotations

import pytest

from async_mysqlpool.drivers import ConnectParams
from async_mysqlpool.testing import contract
from async_mysqlpool.testing.fake import FakeDriver

PARAMS = ConnectParams(
    host="localhost",
    port=3306,
    user="app",
    password="s3cret",
    database="test",
    unix_socket=None,
    charset="utf8mb4",
    autocommit=True,
    ssl=None,
    connect_timeout=10.0,
    connect_args={},
)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_contract(check):
    driver = FakeDriver()
    await check(driver, PARAMS)
    assert driver.server.violations == []
