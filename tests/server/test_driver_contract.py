"""The drivers' adapters do what the seam promises, over TCP, TLS and a unix socket."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest
from kit import ALL_SERVERS, BOTH_LOOPS

from async_mysqlpool.testing import contract


def name(check):
    return check.__name__.removeprefix("check_")


@BOTH_LOOPS
@pytest.mark.parametrize("check", contract.CHECKS + contract.NETWORK_CHECKS, ids=name)
async def test_contract(adapter, check, params):
    await check(adapter, params)


@pytest.mark.parametrize("server", ALL_SERVERS, indirect=True)
@pytest.mark.parametrize("autocommit", [True, False, None])
@pytest.mark.parametrize("database", ["test", None])
async def test_first_state(adapter, autocommit, database, params):
    await contract.check_connect(adapter, replace(params, autocommit=autocommit, database=database))


@pytest.mark.parametrize("check", contract.CHECKS, ids=name)
async def test_contract_over_a_unix_socket(adapter, check, params, server):
    if server.unix_socket is None:
        pytest.skip("the server offers no unix socket here")
    await check(adapter, replace(params, unix_socket=server.unix_socket))


@BOTH_LOOPS
@pytest.mark.parametrize("server", ["mysql"], indirect=True)  # throwaway MariaDB servers have no certificate
@pytest.mark.parametrize("check", contract.CHECKS, ids=name)
async def test_contract_over_tls(adapter, check, driver, params):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # mysql.connector takes no context; it encrypts unless told otherwise, and verifies only what it is told to.
    encrypted = replace(params, ssl=None if driver == "mysql.connector.aio" else context)
    raw = await adapter.connect(encrypted)
    assert (await adapter.execute(raw, "SHOW SESSION STATUS LIKE 'Ssl_cipher'"))[0][1] != ""
    await adapter.close(raw)
    await check(adapter, encrypted)
