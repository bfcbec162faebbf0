"""Real servers for tests and demos.

server.py    what a throwaway server can do, and `start_server`
external.py  the server named by ASYNC_MYSQLPOOL_DSN
process.py   a server that is a local process      (datadir.py: its data, greeting.py: is it ready)
docker.py    a server in a container
packages.py  a server unpacked from Debian packages (cache.py: where to)
"""

from .server import Server, ServerStartError, ServerUnavailable, start_server

__all__ = ["Server", "ServerStartError", "ServerUnavailable", "start_server"]
