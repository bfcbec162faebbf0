"""The storms of tests/faults again: larger, on each driver and each server, until the time is up."""

from __future__ import annotations

import asyncio
import os
import random

from lab import ALL, DRIVERS, FLAVORS, SOME
from test_kill_on_cancel import cancelled_at_once, grown_up  # noqa: F401  the fixture as well
from test_overload import (  # noqa: F401  the same tests; with SOAK_SECONDS their crowd is 100,000
    crowd,
    test_crowd_cancelled_at_once_leaves_nothing,
    test_crowd_of_which_every_second_is_cancelled,
    test_everybody_is_served,
    test_work_per_borrow_does_not_grow_with_the_crowd,
)
from test_storms import weather_it

SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))


@ALL
async def test_storms(account, admin, pools, proxy, whole):
    """Ten thousand borrowers a round."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS / len(DRIVERS) / len(FLAVORS)
    while True:
        await weather_it(10_000, random.randrange(10**6), account, admin, pools, proxy, whole)
        if loop.time() >= end:
            return


@SOME
async def test_five_hundred_cancelled_at_once(account, admin, pools, recorder, whole):
    await cancelled_at_once(500, account, admin, pools, recorder, whole)
