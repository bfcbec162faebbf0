"""The command ``check``: its options, and the report as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from async_mysqlpool.cli.check.findings import Finding, Level, judge
from async_mysqlpool.cli.check.probe import probe
from async_mysqlpool.cli.output import Exit, console, milliseconds, print_json, run, working

if TYPE_CHECKING:
    from rich.console import Console

    from async_mysqlpool.cli.check.facts import DriverFacts, Report, ServerFacts

__all__ = ["check"]

_COLOURS = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.NOTE: "cyan"}


def check(
    dsn: Annotated[
        str,
        typer.Argument(envvar="ASYNC_MYSQLPOOL_DSN", show_default=False, help="mysql://user:password@host/database"),
    ],
    size: Annotated[int | None, typer.Option(min=1, help="max_size of your pools; default: that of the DSN.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that will have such a pool, on all hosts.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are a failure as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Look at a server as a pool does: every driver, the way there, limits; and say what to change.

    Exit code 0: nothing is wrong; 1: an error, or with --strict a warning; 2: wrong arguments.
    """
    with working("asking the server"):
        report = run(probe(dsn, size, processes))
    findings = judge(report)
    if as_json:
        print_json({"drivers": report.drivers, "server": report.server, "plans": report.plans, "findings": findings})
    else:
        _show(console(), report, findings)
    bad = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
    if any(finding.level in bad for finding in findings):
        raise typer.Exit(Exit.FOUND)


def _show(out: Console, report: Report, findings: list[Finding]) -> None:
    if report.server is not None:
        out.print(_server_table(report.server))
    if any(driver.error is None for driver in report.drivers):
        out.print(_drivers_table([driver for driver in report.drivers if driver.error is None]))
    if not findings:
        out.print("\n[green]nothing to change[/]")
        return
    out.print()
    table = Table.grid(padding=(0, 1))
    for finding in findings:
        table.add_row(f"[{_COLOURS[finding.level]}]{finding.level}[/]", finding.reason)
        table.add_row("", f"[dim]-> {finding.remedy}  ({finding.what})[/]")
    out.print(table)


def _server_table(server: ServerFacts) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    way = "on this machine" if server.local else "over the network"
    proof = "certificate verified" if server.verified else "certificate not verified"
    ends = f", valid for {server.certificate_days:.0f} days" if server.certificate_days is not None else ""
    role = ("replica, " if server.replicates else "") + ("read-only" if server.read_only else "takes writes")
    connected = f"{server.connected} now, {server.peak_connected} at most so far, of {server.max_connections}"
    account_limit = server.max_user_connections or "any number"
    for name, text in (
        ("server", f"[bold]{server.flavor} {server.version}[/] at {server.address}, {way}; {role}"),
        ("account", f"{server.account}" + (f", {server.plugin}" if server.plugin else "")),
        ("encryption", f"{server.tls}; {proof}{ends}" if server.tls else "none"),
        ("connections", f"{connected}; this account may have {account_limit}"),
        ("limits", f"idle for {server.wait_timeout:g} s; packets of {server.max_allowed_packet / 2**20:.3g} MB"),
        ("text", f"{server.charset}, {server.collation}; time zone {server.time_zone}"),
        ("clock", f"{server.clock_ahead * 1000:+.0f} ms; up for {server.uptime / 3600:,.1f} hours"),
    ):
        table.add_row(name, text)
    return table


def _drivers_table(drivers: list[DriverFacts]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for driver in drivers:
        table.add_column(driver.name)
    rows = {
        "version": [driver.version for driver in drivers],
        "connects in": [milliseconds(driver.connect_time) for driver in drivers],
        "round trip": [milliseconds(driver.round_trip) for driver in drivers],
        "one in a hundred": [milliseconds(driver.round_trip_p99) for driver in drivers],
        "reset": [driver.reset for driver in drivers],
        "changes": [_heard(driver) for driver in drivers],
        "rows read by": ["the pool" if driver.reads_results else "the driver" for driver in drivers],
        "when cancelled": [
            "runs on" if driver.killed_in is None else f"stopped in {milliseconds(driver.killed_in)}"
            for driver in drivers
        ],
        "in between": ["a proxy" if driver.between else "nothing seen" for driver in drivers],
    }
    for name, cells in rows.items():
        table.add_row(f"[dim]{name}[/]", *cells)
    return table


def _heard(driver: DriverFacts) -> str:
    return "heard" if driver.hears_schema and driver.hears_changes else "heard in part" if driver.hears_changes else "-"
