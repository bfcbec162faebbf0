"""What a clean session is, and how one is made clean again. Nothing else in the package decides this.

The baseline of a connection is what it was opened with: database, character set and collation, autocommit,
`session_variables`, `init_command`, `on_connect`. COM_RESET_CONNECTION rolls back and clears user variables,
temporary tables, locks, prepared statements and session variables; it leaves the current database alone and puts the
server's defaults where the baseline was, so what the baseline adds is said again.

https://dev.mysql.com/doc/c-api/8.4/en/mysql-reset-connection.html
https://mariadb.com/kb/en/com_reset_connection/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.base import COM_INIT_DB, COM_QUERY, COM_RESET_CONNECTION, Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from async_mysqlpool.config import Variable
    from async_mysqlpool.drivers import Driver

_READ_BASELINE = (
    "SELECT @@SESSION.character_set_client, @@SESSION.character_set_results, @@SESSION.collation_connection,"
    " @@SESSION.autocommit, @@SESSION.wait_timeout, DATABASE()"
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state that every borrower must find; `wait_timeout` (seconds) is the server's patience when idle."""

    commands: tuple[Command, ...]
    init_command: str | None
    snapshot: Any
    autocommit: bool
    wait_timeout: float


async def set_up(driver: Driver, raw: Any, variables: Mapping[str, Variable], init_command: str | None) -> Baseline:
    """Bring a new connection into its first state and note that state down."""
    if variables:
        await driver.execute(raw, f"SET {_assignments(variables)}")
    if init_command:
        await driver.execute(raw, init_command)
    row = (await driver.execute(raw, _READ_BASELINE))[0]
    client, results, collation, autocommit, wait_timeout, database = row
    restore = _assignments(
        {
            "character_set_client": client,
            "character_set_results": results,
            "collation_connection": collation,
            "autocommit": int(autocommit),
            **variables,
        }
    )
    commands = [Command(COM_RESET_CONNECTION), Command(COM_QUERY, f"SET {restore}".encode())]
    if database is not None:
        # In the character set of the moment, which is the client's again by now.
        commands.append(Command(COM_INIT_DB, database.encode()))
    return Baseline(tuple(commands), init_command, driver.snapshot(raw), bool(autocommit), float(wait_timeout))


async def reset(driver: Driver, raw: Any, baseline: Baseline) -> None:
    """Make the session as good as new. Whatever this raises, the connection must not be used again."""
    await driver.reset(raw, baseline.commands, baseline.snapshot)
    if baseline.init_command:
        await driver.execute(raw, baseline.init_command)


async def rollback(driver: Driver, raw: Any) -> None:
    """End the transaction, if there is one; the drivers' own flags are not to be trusted with that question."""
    await driver.execute(raw, "ROLLBACK")


def _assignments(variables: Mapping[str, Variable]) -> str:
    return ", ".join(f"@@SESSION.{name} = {_literal(value)}" for name, value in variables.items())


def _literal(value: Variable) -> str:
    """A value in SQL that means the same under every sql_mode (backslashes do not, nor do double quotes)."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return repr(value)
    if "\\" in value:
        return f"CONVERT(0x{value.encode().hex()} USING utf8mb4)"
    return "'" + value.replace("'", "''") + "'"
