"""What is compared. The command line chooses them, and opens none: that is `pools.py`, in a process for each."""

from __future__ import annotations

from dataclasses import dataclass

DRIVERS = ("asyncmy", "aiomysql", "mysql.connector.aio")
RESETS = ("none", "auto", "session")


@dataclass(frozen=True)
class Account:
    """Where the server is, and who may use it."""

    host: str
    port: int
    user: str
    password: str
    database: str


@dataclass(frozen=True)
class Contender:
    """One pool over one driver.

    Attributes:
        kind: a key of `pools.KINDS`, such as "own" or "ours".
        driver: whose connections they are.
        reset: of our pool.
        interpreted: our pool as Python, though it is installed compiled.
        tree: a checkout of our pool to take instead of the one installed.
        label: its name in tables.
    """

    kind: str
    driver: str
    reset: str = ""
    interpreted: bool = False
    tree: str = ""
    label: str = ""


def bare(driver: str) -> Contender:
    """Connections without a pool, as many tasks as there are connections: nothing can be faster."""
    return Contender("bare", driver, label="bare driver, no pool")


def own(driver: str) -> Contender:
    """The pool that the driver brings."""
    return Contender("own", driver, label="the driver's own pool")


def ours(driver: str, reset: str, *, compiled: bool, tree: str = "", name: str = "ours") -> Contender:
    """Our pool, compiled or interpreted; `name` and `tree` of another checkout of it."""
    label = f"{name}, {reset}" if compiled else f"{name}, {reset}, interpreted"
    return Contender("ours", driver, reset, not compiled, tree, label)


def others(driver: str) -> list[Contender]:
    """What else is in use over that driver, or, beside asyncmy, instead of it."""
    sqlalchemy = Contender("sqlalchemy", driver, label="SQLAlchemy's async engine")
    threads = Contender("threads", "mysqlclient", label="mysqlclient, DBUtils, threads")
    return {"asyncmy": [sqlalchemy, threads], "aiomysql": [sqlalchemy]}.get(driver, [])
