"""Statements without their values: what a digest looks like, that no value is left in it, that it costs little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_mysqlpool.digest import digest, summary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT -1, +2.5e-3, .5, 0xFF, 0b01, x'41', N'a', _utf8mb4'a'", "SELECT -?, +?, ..., _utf8mb4?"),
        (
            "SELECT * FROM t WHERE a='it''s' AND b = \"x\\\"y\" AND c='\\''",
            "SELECT * FROM t WHERE a=? AND b = ? AND c=?",
        ),
        ("SELECT * FROM t WHERE a IN (1,2 , 3)", "SELECT * FROM t WHERE a IN (?, ...)"),
        ("SELECT * FROM t WHERE a IN (%s, %s)", "SELECT * FROM t WHERE a IN (?, ...)"),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'),(3,'z')", "INSERT INTO t (a, b) VALUES (?, ...), ..."),
        ("SELECT  a\n\tFROM   t -- a comment 'with' 1\nWHERE b=%(b)s # 2", "SELECT a FROM t WHERE b=?"),
        ("SELECT /* 'x' */ a /*! SQL_NO_CACHE */ FROM t;", "SELECT a FROM t"),
        ("SELECT col1, t2.x3, `4 five`, @v1 FROM utf8", "SELECT col1, t2.x3, `4 five`, @v1 FROM utf8"),
        ("SELECT a %% 2, b LIKE '%%'", "SELECT a % ?, b LIKE ?"),
        ("SELECT 'never ended", "SELECT ?"),
        ("SELECT 1 /* never ended", "SELECT ?"),
        (b"SELECT '\xe9'", "SELECT ?"),
        ("COMMIT ; ", "COMMIT"),
        ("", ""),
    ],
)
def test_digests(text, expected):
    assert digest(text) == expected


def test_a_backslash_escapes_where_the_server_says_so():
    assert digest(r"SELECT 'a\' , 'secret'", escapes=False) == "SELECT ?, ..."


@given(st.text(st.characters(exclude_characters="\0"), max_size=30))
def test_no_value_is_left(secret):
    quoted = secret.replace("\\", "\\\\").replace("'", "''")
    assert digest(f"SELECT a FROM b WHERE c = '{quoted}' AND d = 4") == "SELECT a FROM b WHERE c = ? AND d = ?"


@given(st.text("'\"`\\/*#-%(),.01axs \n;?", max_size=6))
def test_a_digest_is_bounded_whatever_the_text(part):
    for text in (part, part * 5_000, "'" + part * 5_000):
        assert len(digest(text)) <= 1024
        assert len(summary(digest(text))) <= 255


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a FROM shop.orders o JOIN `cus tomers` c ON 1", "SELECT shop.orders cus tomers"),
        ("insert ignore into orders select * from old", "INSERT orders old"),
        ("UPDATE orders SET a = 1", "UPDATE orders"),
        ("DELETE FROM orders WHERE a IN (SELECT b FROM orders)", "DELETE orders"),
        ("(SELECT 1) UNION (SELECT 2 FROM x)", "SELECT x"),
        ("CREATE TABLE IF NOT EXISTS t (a INT)", "CREATE t"),
        ("START TRANSACTION", "START"),
        ("SELECT a FROM (SELECT b FROM c) d", "SELECT c"),
        ("", ""),
    ],
)
def test_summaries(text, expected):
    assert summary(digest(text)) == expected
