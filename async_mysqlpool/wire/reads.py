"""What the text of a statement is good for: nothing is restored because of it, but more may be, or a reset left out.

What reset="auto" takes for harmless is a list of what is allowed, never of what is forbidden: one plain SELECT, UPDATE
or DELETE of tables, or the end of a transaction, in which every word followed by a parenthesis is the name of a
built-in function known to leave nothing behind. What it does to the session beyond that, through a trigger or a view,
the server's session tracker tells.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_harmless", "keeps_schema", "outlives_reset"]

_REMEMBERED = 1024  # statements: an application has a few, and says them often
# Nothing but words, numbers, plain strings and the operators of expressions: no variables, no second statement.
_PLAIN = re.compile(rb"(?:[\w\s.,=<>!+\-*/%&|^~()?`$]|'[^'\\]*'|\"[^\"\\]*\"|[\x80-\xff])*;?\s*")
_COMMENT = re.compile(rb"/\*|--|:=")
_STARTS = re.compile(
    rb"\s*\(?\s*(?:select|update|delete|commit|rollback|show\s+(?:warnings|status|tables))\b", re.IGNORECASE
)
_CALLED = re.compile(rb"([\w`$.\x80-\xff]+)\s*\(")
_STRINGS = re.compile(rb"'[^']*'|\"[^\"]*\"")
_WORDS = frozenset(
    b"and as between by case char count decimal distinct else exists from group having if in interval join left "
    b"limit not on or order over partition replace right select set signed then union unsigned using values "
    b"varchar when where binary".split()
)
_FUNCTIONS = frozenset(
    b"abs avg bit_and bit_count bit_length bit_or bit_xor cast ceil ceiling char_length character_length "
    b"coalesce concat concat_ws conv convert cos cot crc32 curdate current_date current_time current_timestamp "
    b"curtime date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear degrees elt "
    b"exp extract field find_in_set floor format from_base64 from_days from_unixtime greatest group_concat hex "
    b"hour ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr isnull json_array json_arrayagg "
    b"json_contains json_extract json_length json_object json_objectagg json_unquote json_value last_day lcase "
    b"least length ln localtime localtimestamp locate log log10 log2 lower lpad ltrim makedate maketime max md5 "
    b"microsecond mid min minute mod month monthname now nullif oct octet_length ord period_add period_diff pi "
    b"position pow power quarter quote radians repeat reverse round rpad rtrim sec_to_time second sha sha1 sha2 "
    b"sign sin space sqrt std stddev stddev_pop stddev_samp str_to_date strcmp substr substring substring_index "
    b"subdate adddate addtime subtime sum sysdate tan time time_format time_to_sec timediff timestamp "
    b"timestampadd timestampdiff to_base64 to_days to_seconds trim truncate ucase unhex unix_timestamp upper "
    b"utc_date utc_time utc_timestamp uuid var_pop var_samp variance version week weekday weekofyear year "
    b"yearweek row_number rank dense_rank lag lead first_value ntile connection_id database schema user "
    b"current_user".split()
)
# Words that make even a plain statement leave something: files and variables, locks that outlive it, sequences.
_FORBIDDEN = re.compile(
    rb"\b(?:into|procedure|for|lock|handler|next|previous|value|nextval|lastval|setval|sql_calc_found_rows)\b",
    re.IGNORECASE,
)


@lru_cache(_REMEMBERED)
def is_harmless(statement: bytes) -> bool:
    """Whether it leaves nothing in its session that the server's tracker would not tell."""
    if _STARTS.match(statement) is None or _PLAIN.fullmatch(statement) is None:
        return False
    text = _STRINGS.sub(b"''", statement).lower()
    if _COMMENT.search(text) or _FORBIDDEN.search(text):
        return False
    return all(word in _FUNCTIONS or word in _WORDS for word in _CALLED.findall(text))


# In none of these can the current schema change, whatever routines they call: those know no USE.
_KEEPS_SCHEMA = re.compile(
    rb"(?:\x00\x01)?\s*\(?\s*(?:select|insert|update|delete|replace|show|with|commit|rollback|start\s+transaction"
    rb"|begin(?!\s+not))\b",
    re.IGNORECASE,
)
_USUAL = {b"select", b"insert", b"update", b"delete"}
_OUTLIVES_RESET = re.compile(rb"\bxa\b|profiling|optimizer_trace|resource\s+group")
_ONE_OF_ITS_WORDS = (
    b"xa",
    b"profiling",
    b"optimizer_trace",
    b"resource",
)  # quickly looked for
_LOOKED_AT = 4096  # bytes


def keeps_schema(statement: bytes, start: int = 0) -> bool:
    """Whether it is one statement of a kind that never changes the current schema, not even unheard by the trackers."""
    usual = statement[start : start + 6].lower() in _USUAL
    if not usual and _KEEPS_SCHEMA.match(statement, start) is None:
        return False
    return statement.find(b";", start, len(statement) - 1) < 0


def outlives_reset(statement: bytes, start: int = 0) -> bool:
    """Whether it speaks of what a reset does not end: XA transactions, profiles, optimizer traces, resource groups."""
    text = statement[start : start + _LOOKED_AT].lower()
    return any(word in text for word in _ONE_OF_ITS_WORDS) and _OUTLIVES_RESET.search(text) is not None
