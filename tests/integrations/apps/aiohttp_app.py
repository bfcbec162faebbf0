"""What aiohttp applications do to a pool."""

import os
import socket
from contextlib import suppress

from aiohttp import web
from work import add_item, end_it, in_use, query

from async_mysqlpool import ConnectionPool
from async_mysqlpool.integrations.aiohttp import get_pool, health_routes, pool_context, pool_errors

DSN = os.environ["ASYNC_MYSQLPOOL_DSN"]
routes = web.RouteTableDef()


@routes.get("/slow/{seconds}")
async def slow(request: web.Request) -> web.Response:
    async with get_pool(request).acquire() as conn:
        return web.json_response(await query(conn, float(request.match_info["seconds"])))


@routes.get("/stream/{rows}/{seconds}")
async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    # Writing to a client that has gone raises, if the cancellation does not come first.
    with suppress(ConnectionResetError):
        await response.prepare(request)
        async with get_pool(request).acquire() as conn:
            for _ in range(int(request.match_info["rows"])):
                await response.write(f"{await query(conn, float(request.match_info['seconds']))}\n".encode())
    return response


@routes.post("/items/{name}")
async def add(request: web.Request) -> web.Response:
    async with get_pool(request).transaction() as conn:
        await add_item(conn, request.match_info["name"])
        await end_it(conn, request.query.get("end", ""))
        if "fail" in request.query:
            raise web.HTTPConflict
    return web.Response(status=201)


@routes.get("/misuse")
async def misuse(request: web.Request) -> web.Response:
    async with get_pool(request).acquire() as conn:
        pass
    return web.json_response(await query(conn, 0))


@routes.get("/both")
async def both(request: web.Request) -> web.Response:
    return web.json_response([get_pool(request).name, get_pool(request, "reports").name])


@routes.get("/stats")
async def stats(request: web.Request) -> web.Response:
    return web.json_response(in_use(get_pool(request)))


def main() -> None:
    app = web.Application(middlewares=[pool_errors])
    app.cleanup_ctx.append(
        pool_context(
            ConnectionPool(DSN, name="main", max_size=5, queue_timeout=20.0),
            ConnectionPool(DSN, name="reports", max_size=2),
        )
    )
    app.add_routes([*routes, *health_routes(timeout=5.0)])
    # With handler_cancellation a client that goes away cancels its request.
    listening = socket.create_server(("127.0.0.1", 0))
    web.run_app(app, sock=listening, handler_cancellation=True, access_log=None)


if __name__ == "__main__":
    main()
