"""Two thousand borrowers in bad weather; `nox -s soak` has more of them, for as long as asked."""

from __future__ import annotations

import random

from kit import eventually
from lab import SOME, running
from storm import Storm


@SOME
async def test_storm(account, admin, pools, proxy, whole):
    await weather_it(2_000, random.randrange(10**6), account, admin, pools, proxy, whole)


async def weather_it(borrowers, seed, account, admin, pools, proxy, whole):
    """0 wrong rows, 0 lost slots, 0 statements left running; that no task or socket is left, `pools` looks after."""
    pool = await pools(max_size=20, max_connecting=10, queue_timeout=60, validation_timeout=0.5, connect_timeout=5)
    admin.rows("INSERT IGNORE INTO probe VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0)")
    storm = Storm(pool, proxy, admin, account.user, seed)
    await storm.blow(borrowers)
    report = f"seed {seed}: {dict(storm.ended)}, {dict(storm.struck)}, {pool!r}"
    print(f"\n{report}")  # noqa: T201  the seed, and how bad it was
    assert storm.wrong == [], report
    assert sum(storm.ended.values()) + len(storm.wrong) == borrowers, report
    assert storm.ended["ok"] > borrowers / 4, report
    assert await eventually(lambda: running(admin, account.user), lambda rows: not rows) == [], report
    await whole(pool)
