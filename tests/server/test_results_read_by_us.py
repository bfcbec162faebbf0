"""Results that the pool reads look exactly as those that the bare driver reads; nor can anything else be told apart."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit import Admin
from twins import CURSORS, Pairs, observed

from async_mysqlpool.drivers.aiomysql import AiomysqlReader
from async_mysqlpool.drivers.asyncmy import AsyncmyReader
from async_mysqlpool.drivers.results import StatementReader

pytestmark = pytest.mark.parametrize("driver", list(CURSORS), indirect=True)

BOTH_CURSORS = [None, "DictCursor"]
SIZES = [0, 1, 250, 251, 252, 65535, 65536, 65537, (1 << 20) - 100, 1 << 20, (1 << 24) - 5, (1 << 24) + 100]

LONG = "'" + "ü" * 126 + "'"
KINDS = {
    "tinyint": ("TINYINT", ["-128", "127", "0"]),
    "tinyint_unsigned": ("TINYINT UNSIGNED", ["255", "0"]),
    "bool": ("BOOL", ["TRUE", "FALSE"]),
    "smallint": ("SMALLINT", ["-32768", "32767"]),
    "mediumint": ("MEDIUMINT UNSIGNED", ["16777215"]),
    "integer": ("INT", ["-2147483648", "2147483647"]),
    "zerofill": ("INT(5) ZEROFILL", ["42"]),
    "bigint": ("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    "bigint_unsigned": ("BIGINT UNSIGNED", ["18446744073709551615"]),
    "numeric": ("DECIMAL(65,30)", ["-" + "9" * 35 + "." + "9" * 30, "0", "0.000000000000000000000000000001"]),
    "whole": ("DECIMAL(10,0)", ["-9999999999", "1"]),
    "single": ("FLOAT", ["-3.4e38", "1.5", "0", "1e-38"]),
    "twice": ("DOUBLE", ["-1.7976931348623157e308", "2.2250738585072014e-308", "0.1", "1e16", "-0e0"]),
    "bit": ("BIT(1)", ["b'1'", "b'0'"]),
    "bits": ("BIT(64)", ["~0", "1", "0x4142"]),
    "day": ("DATE", ["'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-00-10'", "'2024-02-29'"]),
    "moment": ("DATETIME", ["'1000-01-01 00:00:00'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59'"]),
    "moment6": ("DATETIME(6)", ["'2024-02-29 12:34:56.000001'", "'0000-00-00 00:00:00'", "'2024-01-01 00:00:00.5'"]),
    "stamp": ("TIMESTAMP(3) NULL", ["'2024-02-29 12:34:56.789'", "'1970-01-02 00:00:00'"]),
    "clock": ("TIME", ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"]),
    "clock6": ("TIME(6)", ["'838:59:58.999999'", "'-00:00:00.000001'", "'12:34:56.5'"]),
    "annum": ("YEAR", ["1901", "2155", "0"]),
    "fixed": ("CHAR(9)", ["'a '", "''", "'ü😀'"]),
    "varying": ("VARCHAR(300)", [LONG, "''", "REPEAT('x', 250)", "REPEAT('x', 251)", r"'\0\n\''"]),
    "latin": ("VARCHAR(30) CHARACTER SET latin1", ["'äöü'", "'€'"]),
    "wide": ("VARCHAR(30) CHARACTER SET utf16", ["'äöü😀'"]),
    "plain": ("VARCHAR(30) CHARACTER SET ascii", ["'abc'"]),
    "fixed_bytes": ("BINARY(4)", ["0xFF00", "''"]),
    "bytes": ("VARBINARY(30)", ["0xFF00FE", "''"]),
    "tiny": ("TINYTEXT", ["REPEAT('t', 255)"]),
    "text": ("TEXT", ["REPEAT('t', 65535)", "'ß'"]),
    "medium": ("MEDIUMTEXT", ["REPEAT('t', 65536)"]),
    "long_text": ("LONGTEXT", ["'l'"]),
    "tiny_blob": ("TINYBLOB", ["REPEAT(0xFE, 255)"]),
    "blobs": ("BLOB", ["REPEAT(0xFB, 65535)", "''"]),
    "long_blob": ("LONGBLOB", ["0xFFFEFBFC"]),
    "choice": ("ENUM('a', 'ü', '')", ["'ü'", "'a'", "''"]),
    "choices": ("SET('a', 'b', 'ü')", ["'a,ü'", "''"]),
    "document": ("JSON", ['\'{"a": [1, null, "ü"]}\'', "'null'", "'1.5'"]),
    "place": ("POINT", ["ST_GeomFromText('POINT(1 -2)')"]),
    "shape": ("GEOMETRY", ["ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))')"]),
}
OF_ONE_SERVER = {
    "mariadb": {
        "address": ("INET6", ["'::1'", "'2001:db8::ff00:42:8329'"]),
        "identity": ("UUID", ["'123e4567-e89b-12d3-a456-426655440000'"]),
    },
    "mysql": {"embedding": ("VECTOR(3)", ["STRING_TO_VECTOR('[2, 2, 2]')"])},  # the drivers take it for ASCII text
}


def kinds(flavor: str) -> dict[str, tuple[str, list[str]]]:
    return KINDS | OF_ONE_SERVER[flavor]


def make_schema(admin, flavor):
    """A database with a table of every type of column, one of numbers, and one of sizes."""
    made = kinds(flavor)
    admin.rows("CREATE DATABASE shapes CHARACTER SET utf8mb4")
    admin.rows("SET SESSION sql_mode = ''")
    columns = ", ".join(f"`{name}` {kind}" for name, (kind, _) in made.items())
    admin.rows(f"CREATE TABLE shapes.kinds ({columns})")
    for number in range(6):  # the last row is all NULL
        values = [literals[number] if number < len(literals) else "NULL" for _, literals in made.values()]
        admin.rows(f"INSERT INTO shapes.kinds VALUES ({', '.join(values)})")
    admin.rows("CREATE TABLE shapes.numbers (n INT PRIMARY KEY, half DECIMAL(9,1), name VARCHAR(20))")
    digits = " UNION ".join(f"SELECT {digit} AS d" for digit in range(10))
    admin.rows(
        "INSERT INTO shapes.numbers SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n, (a.d + 1) / 2, NULL FROM "
        + ", ".join(f"({digits}) AS {table}" for table in "abce")
    )
    admin.rows("UPDATE shapes.numbers SET name = CONCAT('name ', n) WHERE n MOD 3")
    admin.rows("CREATE TABLE shapes.sizes (size INT PRIMARY KEY, text LONGTEXT CHARACTER SET latin1, blobs LONGBLOB)")
    for size in SIZES:
        admin.rows(f"INSERT INTO shapes.sizes VALUES ({size}, REPEAT('x', {size}), REPEAT(0xFE, {size}))")


@pytest.fixture(scope="module")
def schemas(servers):
    """A function that makes it on a server, once."""
    made = set()

    def make(server):
        if server not in made:
            made.add(server)
            with Admin(server) as admin:
                make_schema(admin, server.flavor)

    yield make
    for server in made:
        with Admin(server) as admin:
            admin.rows("DROP DATABASE shapes")


@pytest.fixture
def schema(schemas, server):
    """It is there."""
    schemas(server)


@pytest.fixture
async def pair(adapter, params, pools, schema):
    """A function that makes twins."""
    pairs = Pairs(adapter, params, pools)
    yield pairs
    await pairs.close()


@pytest.fixture(autouse=True)
def read(monkeypatch):
    """How many statements were asked past the driver: True for those whose results we have read, False for the rest."""
    counts = Counter()
    read = StatementReader.read

    def counted(*args):
        rows = read(*args)
        counts[rows is not None] += 1
        return rows

    for reader in (AiomysqlReader, AsyncmyReader):
        monkeypatch.setattr(reader, "read", counted)
    return counts


@pytest.mark.parametrize("name", BOTH_CURSORS)
async def test_every_type_of_column(name, pair, read, server):
    twins = await pair()
    for column in kinds(server.flavor):
        await twins.agree(f"SELECT `{column}` FROM shapes.kinds", name=name)
    assert read == {True: len(kinds(server.flavor))}
    await twins.agree("SELECT * FROM shapes.kinds", name=name)
    await twins.agree("SELECT * FROM shapes.kinds WHERE `tinyint` < %s", (0,), name=name)
    assert read == {True: len(kinds(server.flavor)) + 2}


@pytest.mark.parametrize("name", BOTH_CURSORS)
async def test_any_number_of_rows(name, pair, read):
    twins = await pair()
    for count in (3, 0, 1, 2, 249, 250, 251, 252, 1000, 10_000, 0):
        await twins.agree("SELECT * FROM shapes.numbers WHERE n < %s", (count,), name=name)
    assert read == {True: 3 * 11 - 2}


async def test_any_size_of_a_value(pair, read):
    twins = await pair()
    for size in SIZES:
        await twins.agree("SELECT text FROM shapes.sizes WHERE size = %s", (size,), times=3 if size < 1000 else 1)
        await twins.agree("SELECT * FROM shapes.sizes WHERE size = %(size)s", {"size": size}, times=1 + (size == 0))
    assert read[True] == 24  # all those whose replies are below 1 MB, but for what had to be learned
    assert read[False] > 4


@pytest.mark.parametrize("charset", ["latin1", "utf8", "gbk", "ascii", "cp1251"])
async def test_every_charset_of_the_connection(charset, pair, read, server):
    twins = await pair(charset=charset)
    for name, column in enumerate(kinds(server.flavor)):
        await twins.agree(f"SELECT `{column}`, {name} AS '{column}' FROM shapes.kinds")
    assert read[True] + read[False] == len(kinds(server.flavor))


NAMES = {
    "the same from two tables": "SELECT a.n, b.n, a.name, b.name FROM shapes.numbers a JOIN shapes.numbers b USING (n) "
    "WHERE a.n < 3",
    "three of one": "SELECT 1 AS a, 2 AS a, 3 AS a",
    "none": "SELECT 1 AS ``",
    "not ASCII": "SELECT 1 AS `ü`",
    "long": f"SELECT 1 AS `{'n' * 64}`",
    "many": "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(250)),
    "more than are remembered": "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(251)),
}


@pytest.mark.parametrize("name", BOTH_CURSORS)
@pytest.mark.parametrize("query", NAMES.values(), ids=NAMES)
async def test_names_of_columns(name, pair, query, read):
    await (await pair()).agree(query, name=name)
    assert read == ({} if "c250" in query else {True: 1})


# Statements after which both must have gone the same way, and whether their results may be read by us.
OTHERS = {
    "no such column": ("SELECT nothing FROM shapes.numbers", None),
    "no sense": ("SELEKT 1", None),
    "a change": ("UPDATE shapes.numbers SET half = half + 1 WHERE n < 3", None),
    "an insertion": ("INSERT IGNORE INTO test.probe VALUES (1, 1)", None),
    "a procedure that selects": ("CALL test.commits_and_selects()", None),
    "a procedure that does not": ("CALL test.commits()", None),
    "two statements": ("SELECT 1; SELECT 2", None),
    "the second one fails": ("SELECT 1; SELECT nothing", None),
    "a statement and no result": ("SELECT 1; DO 2", None),
    "LAST_INSERT_ID": ("SELECT LAST_INSERT_ID(5)", None),
    "rows found": ("SELECT SQL_CALC_FOUND_ROWS n FROM shapes.numbers LIMIT 2", None),
    "SHOW": ("SHOW VARIABLES LIKE 'version%%'", ()),
    "a percent sign": ("SELECT '100 %%'", None),
    "arguments too many": ("SELECT %s", (1, 2)),
    "arguments too few": ("SELECT %s, %s", (1,)),
    "no arguments": ("SELECT 1", ()),
    "bytes": (b"SELECT 1", None),
    "arguments of all kinds": ("SELECT %s, %s, %s, %s, %s, %s", (None, True, 1.5, "ü'\\%s", b"\xff'\0", [1, "a"])),
    "one argument alone": ("SELECT %s", 7),
    "named arguments": ("SELECT %(a)s, %(b)s", {"a": 1, "b": "x", "c": 3}),
    "a surrogate": ("SELECT '\udcff'", None),
    "something that warns": ("SELECT CAST('x' AS SIGNED)", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize("name", BOTH_CURSORS)
@pytest.mark.parametrize(("query", "args"), OTHERS.values(), ids=OTHERS)
async def test_whatever_else_a_statement_may_do(args, name, pair, query):
    await (await pair()).agree(query, args, name=name, times=4)


LATER = {
    "an error in the first row": ("SELECT IF(n >= %s, (SELECT 1 UNION SELECT 2), n) AS a FROM shapes.numbers", 0),
    "an error after some rows": ("SELECT IF(n >= %s, (SELECT 1 UNION SELECT 2), n) AS a FROM shapes.numbers", 5000),
    "a warning": ("SELECT n FROM shapes.numbers WHERE n < IF(%s > 1, CAST('3x' AS SIGNED), 3)", 2),
    "more than is kept": ("SELECT text FROM shapes.sizes WHERE size = IF(%s > 1, 1048576, 0)", 2),
}


@pytest.mark.parametrize("name", BOTH_CURSORS)
@pytest.mark.parametrize(("query", "argument"), LATER.values(), ids=LATER)
async def test_what_was_a_plain_result_is_something_else_now(argument, name, pair, query, read):
    twins = await pair()
    await twins.agree(query, 10_000 if "UNION" in query else 1, name=name)
    assert read == {True: 1}
    await twins.agree(query, argument, name=name, times=1)
    assert read == {True: 1, False: 1}
    await twins.agree(query, 10_000 if "UNION" in query else 1, name=name, times=12)
    await twins.agree(query, argument, name=name, times=12)


@pytest.mark.parametrize("name", BOTH_CURSORS)
async def test_a_table_changes_under_a_remembered_statement(admin, name, pair, read):
    twins = await pair()
    query = "SELECT * FROM shapes.changing"
    admin.rows("DROP TABLE IF EXISTS shapes.changing")
    admin.rows("CREATE TABLE shapes.changing (a INT)")
    admin.rows("INSERT INTO shapes.changing VALUES (1), (NULL)")
    for change in (
        "ADD b VARCHAR(9) DEFAULT 'x'", "MODIFY a BIGINT", "MODIFY a VARCHAR(10)", "MODIFY a VARBINARY(10)",
        "RENAME COLUMN a TO c", "DROP b", "MODIFY c INT NOT NULL DEFAULT 1", "COMMENT 'no change'",
    ):  # fmt: skip
        await twins.agree(query, name=name, times=4)
        if "NOT NULL" in change:
            admin.rows("DELETE FROM shapes.changing WHERE c IS NULL")
        admin.rows(f"ALTER TABLE shapes.changing {change}")
    await twins.agree(query, name=name, times=4)
    assert read[True] > read[False] > 0


async def test_the_same_text_in_another_schema(admin, pair, read):
    twins = await pair()
    for schema, column in (("shapes", "INT"), ("other", "VARCHAR(5)")):
        admin.rows(f"DROP TABLE IF EXISTS {schema}.twofold")
        admin.rows(f"CREATE TABLE {schema}.twofold (a {column})")
        admin.rows(f"INSERT INTO {schema}.twofold VALUES (7)")
    for _ in range(12):
        for schema in ("shapes", "other"):
            await twins.both(f"USE {schema}")
            await twins.agree("SELECT * FROM twofold")
    assert read[True] > 0
    admin.rows("DROP TABLE other.twofold")


async def test_settings_of_the_session_count(pair):
    twins = await pair()
    for setting in (
        "sql_mode = 'NO_BACKSLASH_ESCAPES'", "sql_mode = 'ANSI_QUOTES'",
        "time_zone = '+05:30'", "NAMES utf8mb4", "sql_select_limit = 2",
    ):  # fmt: skip
        await twins.both(f"SET {setting}")
        await twins.agree("SELECT %s AS a, latin, stamp FROM shapes.kinds WHERE latin <> %s", ("a\\'b", "\\"))


async def test_a_text_that_cannot_be_decoded(pair):
    """The driver stops in the middle of the reply, and neither connection is of use after that."""
    twins = await pair()
    await twins.agree("SELECT latin FROM shapes.kinds")
    await twins.both("SET character_set_results = latin1")
    await twins.agree("SELECT latin FROM shapes.kinds", times=2)


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
async def test_a_vector_that_cannot_be_decoded(pair):
    twins = await pair()
    await twins.agree("SELECT STRING_TO_VECTOR(%s)", "[2]")
    await twins.agree("SELECT STRING_TO_VECTOR(%s)", "[-1]", times=2)


async def test_in_a_transaction_and_out_of_it(pair):
    """What the driver remembers of the server's flags decides how it escapes, and what it says of transactions."""
    twins = await pair()
    for statement in ("BEGIN", "SELECT 1", "COMMIT", "SET autocommit = 0", "SELECT 1", "ROLLBACK"):
        await twins.agree(statement)
        raw, bare = twins.connection.raw, twins.bare
        assert raw.server_status & ~0x4000 == bare.server_status & ~0x4000
        assert raw.get_transaction_status() == bare.get_transaction_status()
        assert (raw.affected_rows(), raw.insert_id()) == (bare.affected_rows(), bare.insert_id())


EXPRESSIONS = st.sampled_from([
    "n", "half", "name", "NULL", "-n", "n / 3", "CAST(n AS UNSIGNED)", "CAST(n AS CHAR)", "HEX(n)", "name IS NULL",
    "REPEAT('ä', n)", "REPEAT(name, 20)", "CAST(n AS DATE)", "MAKEDATE(2024, n + 1)", "SEC_TO_TIME(n * 7)",
    "CAST('2024-02-29 01:02:03.45' AS DATETIME(6))", "1e0 * n", "CAST(n AS DECIMAL(20, 5))", "x'FF00'", "n > 3",
    "JSON_OBJECT('n', n)", "UNHEX(HEX(name))", "CONVERT(name USING latin1)", "@@version", "'\\'\"\\\\'", "%s", "%s + n",
])  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.binary(max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-9999, max_value=9999),
    st.datetimes(), st.dates(), st.times(), st.timedeltas(),
)  # fmt: skip


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_statement(data, pair):
    expressions = data.draw(st.lists(EXPRESSIONS, min_size=1, max_size=6))
    query = f"SELECT {', '.join(expressions)} FROM shapes.numbers WHERE n BETWEEN %s AND %s ORDER BY n"
    twins = await pair()
    for _ in range(4):
        count = "".join(expressions).count("%s")
        first, last = data.draw(st.integers(0, 400)), data.draw(st.integers(0, 400))
        args = [*data.draw(st.lists(VALUES, min_size=count, max_size=count)), first, last]
        await twins.agree(query, args, name=data.draw(st.sampled_from(BOTH_CURSORS)), times=1)
    await pair.close()


async def test_many_connections_learn_from_each_other(pools, read, schema):
    pool = await pools(max_size=4)

    async def ask(number):
        async with pool.acquire() as connection, connection.cursor() as cursor:
            return await observed(cursor, "SELECT n, name FROM shapes.numbers WHERE n = %s", (number,))

    seen = await asyncio.gather(*(ask(number) for number in range(100)))
    assert [one[2][1][0][1][0] for one in seen] == [("int", str(number)) for number in range(100)]
    assert read[True] > 80
