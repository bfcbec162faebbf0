"""FastAPI with mysqlclient-pool: pool at startup, ping, a counter with a background task, one exception handler.

The application of the article on mysqlclient-pool; docs/migration/mysqlclient_pool.md shows it before.

    ASYNC_MYSQLPOOL_DSN=mysql://app:secret@localhost/test uvicorn --app-dir examples/compat mysqlclient_fastapi:app
"""

from asyncmy.errors import OperationalError, ProgrammingError
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse
from settings import dbconfig

from async_mysqlpool.compat.mysqlclient_pool import ConnectionPool

app = FastAPI()


@app.on_event("startup")  # pyright: ignore[reportDeprecated]  as in the article; a lifespan does as well
def create_pool() -> None:
    app.state.pool = ConnectionPool(
        {"driver": "asyncmy", **dbconfig},
        size=20,  # minimum size of the connections
        fillup=False,  # create an empty pool initially
    )


@app.on_event("shutdown")  # pyright: ignore[reportDeprecated]
async def cleanup() -> None:
    await app.state.pool.close()


@app.get("/ping")
async def ping(request: Request) -> tuple[int]:
    async with request.app.state.pool.fetch() as cursor:
        await cursor.execute("SELECT 1")
        return await cursor.fetchone()


async def update_counter(pool: ConnectionPool) -> None:
    async with pool.fetch() as cursor:
        await cursor.execute("UPDATE counter SET value = value + 1")


@app.get("/counter")
async def counter(request: Request, background: BackgroundTasks) -> int:
    async with (pool := request.app.state.pool).fetch() as cursor:
        await cursor.execute("SELECT value FROM counter")
        value = (await cursor.fetchone())[0]

    background.add_task(update_counter, pool)
    return value


@app.exception_handler(OperationalError)
@app.exception_handler(ProgrammingError)
@app.exception_handler(ConnectionPool.OverflowError)
@app.exception_handler(ConnectionPool.DrainedError)
async def database_exception_handler(request: Request, exception: Exception) -> JSONResponse:
    content = {"code": 0, "message": "Something Went Wrong"}
    try:
        raise exception
    except (OperationalError, ProgrammingError):
        # Handling MySQL errors
        pass
    except ConnectionPool.DrainedError:
        # The pool can't provide a connection anymore because it can't access the database server.
        content["code"] = 1
        content["message"] = "Database Server Is Not Available"
    except ConnectionPool.OverflowError:
        # Maximum permitted number of simultaneous connections is exceeded.
        content["code"] = 2
        content["message"] = "Database Server Is Busy"

    # We still have access to the pool in here
    if request.app.state.pool.closed:
        pass

    return JSONResponse(status_code=500, content=content)
