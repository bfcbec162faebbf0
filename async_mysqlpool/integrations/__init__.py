"""The pool inside frameworks. Each file is one extra, and is loaded only by who imports it.

extras.py     what to install for each
pools.py      the pools of a service: opened together, found by name, drained together
failures.py   what an HTTP client is told when the pool has nothing to give
starlette.py  lifespan, exception handlers, health routes, streams that end
fastapi.py    the same, and typed dependencies
litestar.py   lifespan, dependencies, exception handlers, health handlers
aiohttp.py    cleanup context, middleware, health routes
worker.py     a service without HTTP: signals and a graceful end
sqlalchemy.py an engine that borrows from the pool
"""
