"""Options: defaults, DSN, and wrong input that is refused before anything is opened."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import fields
from functools import partial
from urllib.parse import quote, unquote

import pytest

from async_mysqlpool import ConfigurationError, ConnectError, ConnectionPool, PoolError
from async_mysqlpool.config import Options, PoolConfig, build_config
from async_mysqlpool.testing.fake import FakeDriver

# SCENARIOS 1-3: what the contract promises; units are seconds.
DEFAULTS = {
    "driver": None, "name": None, "min_size": 1, "max_size": 10, "queue_timeout": 30.0, "max_waiting": None,
    "max_idle_time": 600.0, "max_lifetime": 3600.0, "connect_timeout": 10.0, "max_connecting": 4, "validate_after": 0.5,
    "validation_timeout": 1.0, "reset": "session", "kill_on_cancel": True, "hold_warning": None,
    "on_connect": None, "on_acquire": None, "on_release": None, "min_idle": 0,
    "max_uses": None, "keepalive": None, "socket_timeout": None, "charset": "utf8mb4",
    "autocommit": True, "pooling": True,
}  # fmt: skip


def test_the_defaults_are_those_of_the_contract():
    config = build_config(None, {})
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS
    assert not config.session_variables
    assert tuple(config.observers) == ()


def test_every_option_of_the_config_can_be_given_to_the_pool_and_the_other_way_round():
    assert set(Options.__annotations__) == {field.name for field in fields(PoolConfig)} | {"db"}


def test_a_pool_reports_its_limits_and_opens_nothing(server):
    pool = ConnectionPool(driver=FakeDriver(server), min_size=2, max_size=7)
    assert (pool.min_size, pool.max_size, pool.size, pool.idle, pool.waiting) == (2, 7, 0, 0, 0)
    assert server.connect.calls == 0
    assert not pool.closed


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "localhost:3306"),
        ({"host": "db.example", "port": 3307, "database": "shop"}, "db.example:3307/shop"),
        ({"unix_socket": "/run/mysqld.sock"}, "/run/mysqld.sock"),
        ({"name": "orders"}, "orders"),
    ],
)
def test_the_pools_name_comes_from_where_it_connects(options, name):
    assert ConnectionPool(driver=FakeDriver(), **options).name == name


def test_db_is_another_name_of_database():
    assert build_config(None, {"db": "shop"}).database == "shop"
    assert build_config("mysql://h/?db=shop", {}).database == "shop"


def test_a_small_maximum_lowers_the_default_minimum():
    assert build_config(None, {"max_size": 1}).min_size == 1
    assert build_config(None, {"max_size": 1, "pooling": False}).min_size == 0


# -- the DSN: SCENARIOS 10 ---------------------------------------------------------------------------------------------


def test_every_part_of_a_dsn_is_read():
    config = build_config(
        "mysql+aiomysql://app:s%40c%2Fret@db.example:3307/my%20shop?charset=latin1&max_size=20&queue_timeout=2.5"
        "&max_idle_time=none&autocommit=false&kill_on_cancel=0&reset=rollback",
        {},
    )
    assert (config.driver, config.user, config.password) == ("aiomysql", "app", "s@c/ret")
    assert (config.host, config.port, config.database) == ("db.example", 3307, "my shop")
    assert (config.charset, config.max_size, config.queue_timeout) == ("latin1", 20, 2.5)
    assert (config.max_idle_time, config.autocommit, config.kill_on_cancel) == (None, False, False)
    assert config.reset == "rollback"


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+asyncmy", "mariadb+aiomysql"])
def test_both_servers_names_are_schemes(scheme):
    assert build_config(f"{scheme}://h", {}).host == "h"


def test_keywords_win_over_the_dsn():
    config = build_config("mysql://one:a@h1/db1?max_size=3", {"user": "two", "max_size": 4, "database": "db2"})
    assert (config.user, config.max_size, config.database, config.host) == ("two", 4, "db2", "h1")


def test_ipv6_hosts():
    assert build_config("mysql://[::1]:3307/x", {}).host == "::1"


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("postgresql://h/db", "mysql://.*postgresql://"),
        ("db.example:3306", "mysql://"),
        ("", "the DSN is empty"),
        ("mysql://h:70000/db", "DSN"),
        ("mysql://h:port/db", "DSN"),
        ("mysql://h/db?max_size=many", "max_size must be a number$"),
        ("mysql://h/db?max_size=0", "max_size must be a whole number, 1 or more"),
        ("mysql://h/db?maxsize=5", "did you mean 'max_size'"),
        ("mysql://h/db?on_connect=x", "on_connect cannot be written in a DSN"),
        ("mysql://h/db?autocommit=perhaps", "autocommit must be true or false"),
        ("mysql+pg8000://h/db", "unknown driver 'pg8000'"),
    ],
)
def test_a_dsn_that_cannot_be_meant_is_refused(dsn, message):
    with pytest.raises(ConfigurationError, match=message):
        ConnectionPool(dsn)


# Each spills a password, of which "hunter2" is a part, into another place.
SPILT = [
    "mysql://u:hunter2/rest@h/db", "mysql://u:rest/hunter2@h/db", "mysql://u:12/hunter2@h/db",
    "mysql://u:hunter2?rest@h/db", "mysql://u:12?hunter2@h/db", "mysql://u:12?max_size=hunter2@h/db",
    "mysql://u:12?hunter2&x@h/db", "mysql://u:a@b?hunter2&c@h/db", "mysql://u:a@12?hunter2@h/db",
    "mysql://u:12#hunter2@h/db", "mysql://u:hunter2#@h/db", "mysql://u:p@h/db#hunter2", "mysql://hunter2#5@h/db",
    "mysql://u:[hunter2@h/db", "mysql://u:hunter2]@h/db", "mysql://u:\u2100hunter2@h/db", "mysql://u:a\thunter2@h/db",
]  # fmt: skip


@pytest.mark.parametrize("dsn", SPILT)
def test_a_password_that_is_not_encoded_is_refused_with_the_remedy(dsn):
    with pytest.raises(ConfigurationError, match=r"percent-encode : / \? # .* in user and password.*pass password="):
        ConnectionPool(dsn)


@pytest.mark.parametrize(
    "dsn",
    [*SPILT, "mysql://u:hunter2@h:port/db", "mysql://u:p@h:hunter2/db", "mysql://h:hunter2", "mysql://u:hunter2@[::1/db",
     "mysql://u:p@h:99999/hunter2", "x://u:hunter2@h", "u:hunter2@h", "hunter2", "u:hunter2://h",
     "mysql://u:p@h/db?max_size=hunter2", "mysql://u:p@h/db?ssl=hunter2", "mysql://u:p@h/db?reset=hunter2",
     "mysql://u:p@h/db?charset=hunter2!", "mysql://u:p@h/db?hunter2%40x=1", "mysql://u:p@h/db?hunter2-x=1",
     "mysql://h/db?user=u&password=p&hunter2", "mysql://h/db?password=p&hunter2=x&user=u",
     "mysql://u:hunter2@h/db?max_size=0", "mysql://u:hunter2@h/db?maxsize=5"],
)  # fmt: skip
def test_no_refusal_shows_the_password(dsn):
    with pytest.raises(ConfigurationError) as caught:
        ConnectionPool(dsn)
    assert "hunter2" not in str(caught.value).lower()


@pytest.mark.parametrize(
    "written", ["p@ss", "a:b", "a%b", "pä ss", "100%", *map(partial(quote, safe=""), ["%3A/", "a?b#c", "[@]:", "ä/"])]
)
def test_a_password_that_no_other_part_can_be_taken_for_is_read(written):
    config = build_config(f"mysql://u:{written}@h:1/db\n", {})
    assert (config.password, config.host, config.port, config.database) == (unquote(written), "h", 1, "db")


def test_the_value_of_an_option_in_a_dsn_may_hold_what_would_end_other_parts():
    assert build_config("mysql://u:p@h/db?name=a@b/c?d:e", {}).name == "a@b/c?d:e"


# -- wrong values: SCENARIOS 3, 4, 7-9 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_size", -1), ("min_size", 1.5), ("min_size", True), ("max_size", 0), ("max_size", -3), ("max_size", "10"),
        ("queue_timeout", -1), ("queue_timeout", float("nan")), ("queue_timeout", "30"), ("max_waiting", -1),
        ("max_idle_time", 0), ("max_idle_time", -5), ("max_lifetime", 0), ("connect_timeout", 0),
        ("connect_timeout", None), ("max_connecting", 0), ("validate_after", -0.1), ("validation_timeout", 0),
        ("reset", "full"), ("reset", None), ("reset", []), ("kill_on_cancel", 1), ("hold_warning", 0),
        ("session_variables", ["time_zone"]), ("on_connect", "SET NAMES utf8mb4"), ("observers", "me"),
        ("pooling", "no"), ("host", None), ("port", 0), ("port", 65536), ("port", "3306"), ("user", 7),
        ("password", None), ("database", 3), ("charset", "utf8 mb4"), ("charset", ""), ("autocommit", 1), ("ssl", "on"),
        ("connect_args", "x"), ("driver", 3), ("name", 3), ("on_acquire", "SET @x = 1"), ("on_release", True),
        ("min_idle", -1), ("min_idle", None), ("max_uses", 0), ("max_uses", 1.5), ("keepalive", 0), ("keepalive", "60"),
        ("socket_timeout", 0.5), ("socket_timeout", 86400),
    ],
)  # fmt: skip
def test_an_impossible_value_is_refused_by_name(option, value):
    with pytest.raises(ConfigurationError, match=f"^{option} must be") as caught:
        ConnectionPool(**{"driver": FakeDriver(), option: value})
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PoolError)


@pytest.mark.parametrize(
    ("option", "value"),
    [("queue_timeout", 0), ("queue_timeout", None), ("queue_timeout", 10**9), ("max_size", 2**31), ("max_waiting", 0),
     ("max_idle_time", None), ("max_lifetime", None), ("validate_after", 0), ("min_size", 0), ("autocommit", None),
     ("ssl", None), ("ssl", True), ("ssl", ssl.create_default_context()), ("password", lambda: "x"),
     ("host", lambda: "h"), ("port", lambda: 1), ("user", lambda: None)],
)  # fmt: skip
def test_the_edges_of_what_is_possible_are_accepted(option, value):
    assert getattr(build_config(None, {option: value}), option) is value


def test_a_minimum_above_the_maximum_is_refused():
    with pytest.raises(ConfigurationError, match="min_size=5 is more than max_size=3"):
        build_config(None, {"min_size": 5, "max_size": 3})
    with pytest.raises(ConfigurationError, match="min_idle=5 is more than max_size=3"):
        build_config(None, {"min_idle": 5, "max_size": 3})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("maxsize", "max_size"), ("minsize", "min_size"), ("pool_recycle", "max_lifetime"),
        ("timeout", "queue_timeout"), ("pool_size", "max_size"), ("passwd", "password"), ("usr", "user"),
        ("max_idel_time", "max_idle_time"),
        ("pool_pre_ping", "validate_after"), ("init_command", "init_command"), ("acquire_timeout", "queue_timeout"),
    ],
)  # fmt: skip
def test_an_unknown_option_names_the_nearest_known_one(given, meant):
    with pytest.raises(ConfigurationError, match=f"unknown option '{given}': did you mean .*{meant}"):
        ConnectionPool(**{given: 1})


def test_an_option_of_the_driver_is_sent_to_connect_args():
    with pytest.raises(ConfigurationError, match=r"connect_args=\{'local_infile': \.\.\.\}"):
        ConnectionPool(local_infile=True)


@pytest.mark.parametrize("name", ["host", "db", "max_size", "password"])
def test_connect_args_cannot_contradict_the_pools_own_options(name):
    with pytest.raises(ConfigurationError, match=f"connect_args: '{name}' is an option of the pool"):
        build_config(None, {"connect_args": {name: "x"}})


@pytest.mark.parametrize("variables", [{"time zone": 1}, {"x; DROP TABLE y": 1}, {"a.b-c": 1}, {"time_zone": ["x"]}])
def test_session_variables_are_names_and_plain_values(variables):
    with pytest.raises(ConfigurationError, match="session_variables"):
        build_config(None, {"session_variables": variables})


def test_a_driver_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'async-mysqlpool\[asyncmy\]'"):
        ConnectionPool(driver="asyncmy")
    with pytest.raises(ConfigurationError, match="no driver is installed: pip install"):
        ConnectionPool()


# -- secrets: SCENARIOS 12 ---------------------------------------------------------------------------------------------


async def test_the_password_shows_nowhere(server, recorder, caplog):
    server.password = "right"
    caplog.set_level("DEBUG")
    pool = ConnectionPool(
        "mysql://app:hunter2@h/db",
        driver=FakeDriver(server),
        observers=[recorder],
        connect_args={"init_command": "SET @token = 'hunter2'"},
    )
    with pytest.raises(Exception, match="Access denied") as caught:
        await pool.open()
    shown = [repr(pool), str(caught.value), repr(caught.value), caplog.text, repr(recorder.events), str(pool.stats())]
    assert not any("hunter2" in text for text in shown)
    assert "hunter2" not in repr(build_config("mysql://app:hunter2@h/db", {"connect_args": {"x": "hunter2"}}))


# -- what reaches the driver: SCENARIOS 13, 103; PAINS 40 --------------------------------------------------------------


class Spy(FakeDriver):
    """Keeps what it is to connect with."""

    def __init__(self, server):
        super().__init__(server)
        self.seen = []

    async def connect(self, params):
        self.seen.append(params)
        return await super().connect(params)


async def test_connect_arguments_reach_every_connection(server):
    driver = Spy(server)
    options = {"host": "h", "port": 9, "user": "u", "database": "d", "charset": "latin1", "autocommit": None}
    args = {"read_timeout": 5, "init_command": "SET @x = 1"}
    pool = ConnectionPool(driver=driver, max_size=2, connect_args=args, **options)
    async with pool, pool.acquire(), pool.acquire():
        pass
    assert len(driver.seen) == 2
    for params in driver.seen:
        assert {name: getattr(params, name) for name in options} == options
        assert params.connect_args == {"read_timeout": 5}  # init_command is the pool's to run, after resets as well


ANSWERS = {"host": ["h1", "h2"], "port": [1, 2], "user": ["one", None], "password": ["p1", "p2"]}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("option", ANSWERS)
async def test_a_callable_is_asked_at_every_connect(server, option, kind):
    answers = iter(ANSWERS[option])

    async def later():
        await asyncio.sleep(0.1)
        return next(answers)

    driver = Spy(server)
    function = later if kind == "async" else lambda: next(answers)
    pool = ConnectionPool(driver=driver, max_size=2, **{option: function})
    async with pool, pool.acquire(), pool.acquire():
        pass
    assert [getattr(params, option) for params in driver.seen] == ANSWERS[option]


@pytest.mark.parametrize(
    ("option", "answer", "text"),
    [
        ("host", None, "the function for host must return a text, not None"),
        ("host", b"db", "the function for host must return a text, not a bytes$"),
        ("host", {"host": "h", "password": "hunter2"}, "the function for host must return a text, not a dict$"),
        ("user", ("u", "hunter2"), "the function for user must return a text, or None, not a tuple$"),
        ("port", "3306", "the function for port must return a port number, 1 to 65535, not '3306'"),
        ("port", 0, "the function for port must return a port number, 1 to 65535, not 0"),
        ("user", 7, "the function for user must return a text, or None, not 7"),
        ("password", b"hunter2", "the function for password must return a text, not something else$"),
    ],
)
async def test_an_answer_that_cannot_be_meant_is_told_at_once(server, option, answer, text):
    with pytest.raises(ConnectError, match=text):
        await ConnectionPool(driver=FakeDriver(server), **{option: lambda: answer}).open()


async def test_functions_are_asked_again_when_the_account_is_refused(server):
    """Where user and password change together, as with secrets that rotate between two accounts."""
    server.password = "new"
    accounts = iter([("blue", "old"), ("green", "new")])
    account = {}

    def user():
        account["user"], account["password"] = next(accounts)
        return account["user"]

    driver = Spy(server)
    async with ConnectionPool(driver=driver, user=user, password=lambda: account["password"]):
        assert [params.user for params in driver.seen] == ["blue", "green"]


@pytest.mark.parametrize(
    ("options", "name"),
    [({"host": lambda: "h"}, "host():3306"), ({"host": "h", "port": lambda: 1, "database": "shop"}, "h:port()/shop")],
)
def test_a_name_that_a_function_would_say_is_left_to_it(options, name):
    assert ConnectionPool(driver=FakeDriver(), **options).name == name


@pytest.mark.parametrize("said", ["db1", "db2"])
async def test_an_error_names_the_server_that_was_tried(server, said):
    server.stop()
    with pytest.raises(ConnectionError, match=f"as app at {said}:3306"):
        await ConnectionPool(driver=FakeDriver(server), host=lambda: said, user=lambda: "app").open()


async def test_a_password_callable_that_fails_is_a_connect_error_with_its_cause(server):
    def broken():
        raise LookupError("no such secret")

    pool = ConnectionPool(driver=FakeDriver(server), password=broken)
    with pytest.raises(ConnectionError, match="no such secret") as caught:
        await pool.open()
    assert isinstance(caught.value.__cause__, LookupError)
