"""A live page of a pool, to mount into any ASGI application: what it does now, and did in the last minutes.

    from async_mysqlpool.observability.page import pool_page

    app.mount("/pool", pool_page(pool, authorize=is_admin))

history.py  one sample a second, taken by a task of the page's own; and what went wrong in between
state.py    a pool's state as the page shows it: plain data, nothing secret
app.py      the ASGI application: the page, its data, its stream of events
page.html   the page: no other file is loaded, from nowhere
"""

from async_mysqlpool.observability.page.app import PoolPage, pool_page

__all__ = ["PoolPage", "pool_page"]
