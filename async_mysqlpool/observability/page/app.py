"""The page as an ASGI application, without a framework: it runs under any that can mount one.

    /        the page
    data     its data, as JSON: ?after=POSITION leaves out the samples up to there
    events   the same, once a second, as server-sent events

https://asgi.readthedocs.io/en/latest/specs/www.html
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs

from async_mysqlpool.observability.page.history import EVERY, History
from async_mysqlpool.observability.page.state import describe

if TYPE_CHECKING:
    from async_mysqlpool import ConnectionPool

__all__ = ["PoolPage", "pool_page"]

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Authorize: TypeAlias = Callable[[Scope], "bool | Awaitable[bool]"]

# A stream ends by itself, and the browser comes again: so a server that shuts down never waits for one for long.
_STREAM = 15.0  # seconds
_NOBODY_LOOKS = 600.0  # seconds, after which no more samples are taken
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-accel-buffering", b"no"),  # a proxy must not hold events back
)


def pool_page(*pools: ConnectionPool, authorize: Authorize | None = None) -> PoolPage:
    """A page that shows what the pools of this process do. It cannot change anything.

    Args:
        *pools: one or several; they may be opened later.
        authorize: who may look: a function, also async, of the request's ASGI scope (`Request(scope)` in Starlette).
            None: whoever can reach it. It shows lines of your code, names of tasks, statements without values, and
            what the pool logs, errors of the server and of your hooks included.
    """
    return PoolPage(pools, authorize)


class PoolPage:
    """The application. Samples are taken by a task of its own, from the first look on, or from `start`."""

    def __init__(self, pools: tuple[ConnectionPool, ...], authorize: Authorize | None) -> None:
        self._pools = [(pool, History(pool)) for pool in pools]
        self._authorize = authorize
        self._sampler: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._html = Path(__file__).with_name("page.html").read_text(encoding="utf-8")

    def start(self) -> None:
        """Take samples from now on, so that whoever looks first sees the minutes before. Needs a running loop."""
        self._looked_at = time.monotonic()
        if self._sampler is None or self._sampler.done():
            self._sampler = asyncio.get_running_loop().create_task(self._sample(), name="pool page: samples")

    def stop(self) -> None:
        """Take no more samples, until somebody looks again."""
        if self._sampler is not None:
            self._sampler.cancel()

    async def _sample(self) -> None:
        for _, history in self._pools:
            history.start()
        try:
            while time.monotonic() - self._looked_at < _NOBODY_LOOKS:
                for _, history in self._pools:
                    history.take()
                if all(pool.closed for pool, _ in self._pools):
                    return
                await asyncio.sleep(EVERY)
        finally:
            for _, history in self._pools:
                history.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, scope, 405, b"text/plain", b"this page only shows\n", (b"allow", b"GET, HEAD"))
        elif not await self._may_look(scope):
            await _answer(send, scope, 403, b"text/plain", b"you may not look at this\n")
        else:
            await self._show(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Run as an application of its own."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _may_look(self, scope: Scope) -> bool:
        if self._authorize is None:
            return True
        answer = self._authorize(scope)
        return bool(await answer) if inspect.isawaitable(answer) else bool(answer)

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.start()
        path = _path(scope)
        if path == "":  # without the slash, links on the page would lead beside it
            here = (scope["path"] or scope.get("root_path", "")).rpartition("/")[2].encode()
            await _answer(send, scope, 307, b"text/plain", b"", (b"location", here + b"/"))
        elif path == "/":
            nonce = secrets.token_urlsafe(16)
            html = self._html.replace("{{nonce}}", nonce).encode()
            await _answer(send, scope, 200, b"text/html; charset=utf-8", html, _policy(nonce))
        elif path == "/data":
            await _answer(send, scope, 200, b"application/json", self._data(_after(scope)))
        elif path == "/events" and scope["method"] == "GET":
            await self._stream(_after(scope), receive, send)
        else:
            await _answer(send, scope, 404, b"text/plain", b"nothing here\n")

    def _data(self, after: int) -> bytes:
        latest = max((history.latest for _, history in self._pools), default=0)
        state = {"position": _position(latest), **describe(self._pools, after)}
        return json.dumps(state, ensure_ascii=False).encode("utf-8", "replace")

    async def _stream(self, after: int, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), *_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(_gone(receive))
        ends = time.monotonic() + _STREAM
        try:
            while not gone.done() and time.monotonic() < ends and not all(pool.closed for pool, _ in self._pools):
                self._looked_at = time.monotonic()
                latest = max((history.latest for _, history in self._pools), default=0)
                text = b"retry: 500\nid: %b\ndata: %b\n\n" % (_position(latest).encode(), self._data(after))
                await send({"type": "http.response.body", "body": text, "more_body": True})
                after = latest
                await asyncio.wait({gone}, timeout=EVERY)
        finally:
            gone.cancel()
        if not gone.done() or gone.cancelled():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _path(scope: Scope) -> str:
    """The path below where the page is mounted; frameworks differ in whether `path` has that part as well."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if f"{path}/".startswith(f"{root}/") else path


def _position(number: int) -> str:
    """Which sample of which process: behind one address there may be several, and a new one counts from the start."""
    return f"{os.getpid()}-{number}"


def _after(scope: Scope) -> int:
    """The last sample that the reader has of this process: a browser that comes again says so in a header."""
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("after", [""])
    given += [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"last-event-id"]
    process, _, number = given[-1].partition("-")
    return int(number) if process == str(os.getpid()) and number.isdecimal() else 0


def _policy(nonce: str) -> tuple[bytes, bytes]:
    """Nothing is loaded from elsewhere, nothing but the page's own script runs, nobody puts it into a frame."""
    own = f"'nonce-{nonce}'"
    policy = (
        f"default-src 'none'; script-src {own}; style-src {own}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return b"content-security-policy", policy.encode()


async def _answer(
    send: Send, scope: Scope, status: int, kind: bytes, body: bytes, *more: tuple[bytes, bytes]
) -> None:  # fmt: skip
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *_HEADERS, *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
