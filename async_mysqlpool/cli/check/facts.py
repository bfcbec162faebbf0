"""What can be known of a server and of each driver's way to it. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["DriverFacts", "Plans", "Report", "ServerFacts"]


@dataclass(slots=True)
class DriverFacts:
    """One driver's way to the server; `error` says why there is none.

    Attributes:
        connect_time: TCP to session set-up.
        round_trip: the median of ``SELECT 1`` on one connection; `round_trip_p99` the slowest in a hundred.
        between: signs of a proxy in between.
        servers: which servers were reached; several behind a load balancer.
        reset: how sessions are made clean: "written ahead", "waited for", "connections are used once", or none.
        reads_results: plain results are read by the pool.
        hears_schema: the server tells when the current schema changes; `hears_changes`, when the session does.
        killed_in: how long it took to stop a cancelled statement on the server; None if it could not be stopped.
    """

    name: str
    version: str
    tested: bool = True
    error: str | None = None
    connect_time: float = 0.0
    round_trip: float = 0.0
    round_trip_p99: float = 0.0
    between: list[str] = field(default_factory=list[str])
    servers: list[str] = field(default_factory=list[str])
    pipelining: bool = False
    reset: str = ""
    reads_results: bool = False
    hears_schema: bool = False
    hears_changes: bool = False
    killed_in: float | None = None


@dataclass(slots=True)
class ServerFacts:
    """The server, the account and the connection to it.

    Attributes:
        version: in the server's own words, its flavor with it.
        plugin: how the account proves who it is; None if the server does not say.
        local: reached over a unix socket or the loopback interface.
        tls: version and cipher; None for none.
        verified: the certificate is checked, by what the DSN says.
        certificate_days: until the certificate ends; None if the server does not say.
        read_only: the server takes no writes from us.
        replicates: it follows another server.
        clock_ahead: of the server's clock, against ours.
        connected: clients at this moment, ours included.
        max_user_connections: of the account; 0 for no limit.
    """

    flavor: str = ""
    version: str = ""
    address: str = ""
    account: str = ""
    plugin: str | None = None
    local: bool = False
    tls: str | None = None
    verified: bool = False
    certificate_days: float | None = None
    read_only: bool = False
    replicates: bool = False
    clock_ahead: float = 0.0
    connected: int = 0
    peak_connected: int = 0
    max_connections: int = 0
    max_user_connections: int = 0
    wait_timeout: float = 0.0
    max_allowed_packet: int = 0
    charset: str = ""
    collation: str = ""
    database_charset: str | None = None
    time_zone: str = ""
    uptime: float = 0.0


@dataclass(slots=True)
class Plans:
    """How the pool will be used: `size` connections in each of `processes` pools; idle ones go after `idle` seconds."""

    size: int = 10
    processes: int = 1
    idle: float | None = 600.0
    compiled: bool = True


@dataclass(slots=True)
class Report:
    """All of it."""

    plans: Plans
    drivers: list[DriverFacts]
    server: ServerFacts | None
