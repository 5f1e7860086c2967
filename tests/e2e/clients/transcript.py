"""What the Python clients print: titled sections, one line per fact, long values as length and hash."""

import hashlib


class Plain(str):
    """Text that is shown as it is."""


def short(value):
    """A value as text; a long one by length and SHA-1."""
    if isinstance(value, Plain):
        return str(value)
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(short(v) for v in value) + ")"
    if isinstance(value, bytearray):
        value = bytes(value)
    if isinstance(value, (str, bytes)) and len(value) > 120:
        data = value.encode() if isinstance(value, str) else value
        return f"{type(value).__name__} of {len(value)} sha1 {hashlib.sha1(data).hexdigest()}"
    return repr(value)


def section(title):
    print(f"## {title}")


def show(label, do, errors):
    """Prints what `do` returns, or the error; gives back the value (None after an error)."""
    try:
        value = do()
    except errors as error:
        # Number and text; SQL state where the driver keeps it.
        number = getattr(error, "errno", None) or error.args[0]
        state = getattr(error, "sqlstate", None)
        text = getattr(error, "msg", None) or error.args[-1]
        print(f"{label}: {type(error).__name__} {number} {state or ''} {text}")
        return None
    print(f"{label}: {short(value)}")
    return value


def rows_digest(rows):
    """Many rows as their number and one hash."""
    digest, count = hashlib.sha1(), 0
    for row in rows:
        digest.update(repr(tuple(row)).encode())
        count += 1
    return f"{count} rows sha1 {digest.hexdigest()}"


ALL_BYTES = bytes(range(256))
TEXT = "Größe \u6570\u636e \U0001f980 'quoted' \\ \"x\" \n\t\0 end"
# The row is computed late: rows arrive first, then error 1690 in their middle.
LATE_ERROR = (
    "select a.n+b.n*10+d.n*100, repeat('z',2000), 9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0)"
    " from {0}_sq a, {0}_sq b, {0}_sq d order by 1 limit 1000"
)
TYPES_TABLE = (
    "create table {0}_types(id int primary key, i8 tinyint, u8 tinyint unsigned, i16 smallint, i24 mediumint,"
    " i64 bigint, u64 bigint unsigned, d decimal(30,10), f float, g double, dt date, tm time(6), ts datetime(6),"
    " y year, b bit(20), vb varbinary(300), lb longblob, c char(10), t longtext, e enum('a','b'), s set('x','y','z'),"
    " j json)"
)
