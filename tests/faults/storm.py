"""A storm: thousands of borrowers, and everything that can go wrong goes wrong, at random, all the time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kit import Admin

    from async_mysqlpool import ConnectionPool
    from async_mysqlpool.testing.proxy import Proxy


class WrongRowError(Exception):
    """Somebody got what was not theirs."""


class Storm:
    """One pool in bad weather.

    Attributes:
        wrong: every borrower that saw another one's row or session.
        ended: how many borrowers ended how.
        struck: how often each misfortune came.
    """

    def __init__(self, pool: ConnectionPool, proxy: Proxy, admin: Admin, user: str, seed: int) -> None:
        self.wrong: list[WrongRowError] = []
        self.ended: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self._pool, self._proxy, self._admin, self._user = pool, proxy, admin, user
        self._random = random.Random(seed)
        self._borrowers: list[asyncio.Task[None]] = []
        self._size = pool.max_size

    async def blow(self, borrowers: int) -> None:
        """Until that many borrowers have ended, one way or the other."""
        self._borrowers = [asyncio.create_task(self._borrower(number)) for number in range(1, borrowers + 1)]
        weather = asyncio.create_task(self._weather())
        try:
            await asyncio.wait(self._borrowers)
        finally:
            weather.cancel()
            with suppress(asyncio.CancelledError):
                await weather
        self._proxy.thaw()
        await self._pool.resize(max_size=self._size)

    async def _borrower(self, number: int) -> None:
        try:
            await asyncio.sleep(self._random.random() * len(self._borrowers) / 1000)
            await self._random.choice([self._one_row, self._one_row, self._sleeper, self._transaction])(number)
        except WrongRowError as error:
            self.wrong.append(error)
        except BaseException as error:
            self.ended[type(error).__name__] += 1
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            self.ended["ok"] += 1

    async def _one_row(self, number: int) -> None:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            for token in (number, -number):
                await self._select(cursor, f"SELECT {token}, @owner", (token, None if token >= 0 else number))
                await cursor.execute(f"SET @owner = {number}")

    async def _sleeper(self, number: int) -> None:
        async with asyncio.timeout(self._random.choice([0.01, 5])):
            async with self._pool.acquire() as connection, connection.cursor() as cursor:
                await self._select(cursor, f"SELECT {number}, SLEEP({self._random.random() / 20:.3f})", (number, 0))

    async def _transaction(self, number: int) -> None:
        async with self._pool.transaction() as connection, connection.cursor() as cursor:
            await cursor.execute(f"UPDATE probe SET value = value + 1 WHERE id = {number % 5}")
            await self._select(cursor, f"SELECT {number}, @owner", (number, None))

    async def _select(self, cursor: Any, sql: str, expected: tuple[Any, ...]) -> None:
        await cursor.execute(sql)
        rows = [tuple(row) for row in await cursor.fetchall()]
        if rows != [expected]:
            raise WrongRowError(f"{sql}: {rows}")

    async def _weather(self) -> None:
        misfortunes = [self._cancel] * 6 + [self._kill] * 3 + [self._break] * 3 + [self._resize, self._expire]
        misfortunes += [self._freeze, self._check]
        while True:
            await self._lull()
            misfortune = self._random.choice(misfortunes)
            self.struck[misfortune.__name__.strip("_")] += 1
            await misfortune()

    async def _lull(self) -> None:
        """Misfortunes keep step with the borrowers: by the clock, a slow driver would do nothing but connect."""
        enough = self.ended.total() + self._random.randrange(30)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while self.ended.total() < enough:
                    await asyncio.sleep(0.001)

    async def _cancel(self) -> None:
        for task in self._random.sample(self._borrowers, 5):
            task.cancel()

    async def _kill(self) -> None:
        ids = self._admin.connection_ids(self._user)
        if ids:
            self._admin.kill(self._random.choice(ids))

    async def _break(self) -> None:
        self._proxy.cut(1)

    async def _freeze(self) -> None:
        self._proxy.freeze()
        await asyncio.sleep(0.05)
        self._proxy.thaw()

    async def _resize(self) -> None:
        await self._pool.resize(max_size=self._random.randint(1, 2 * self._size))

    async def _expire(self) -> None:
        self._pool.expire()

    async def _check(self) -> None:
        await self._pool.check()
