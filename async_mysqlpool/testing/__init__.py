"""For tests and demos: real servers, an event loop without waiting, a server in memory, a bad network.

pytest_plugin.py  fixtures for the tests of programs that use a pool
fake/       a server and a driver in memory          (virtual.py: a loop in which no time passes)
relays.py   mysql-router and haproxy, the real ones, before a server   (certificates.py: for TLS)
proxy.py    cuts, freezes, slows and garbles what passes between a pool and a server
mysql_proxy.py  the same, knowing packets: plays proxies that do not understand pipelining, or rename connections
contract.py what every driver's adapter must do, as checks to run over it

server.py    what a throwaway server can do, and `start_server`
external.py  the server named by ASYNC_MYSQLPOOL_DSN
process.py   a server that is a local process      (local.py: any such process, datadir.py: its data,
                                                    greeting.py: is it ready)
docker.py    a server in a container
packages.py  programs unpacked from Debian packages (cache.py: where to, progress.py: how far it has got)
"""

from .server import Server, ServerStartError, ServerUnavailable, start_server

__all__ = ["Server", "ServerStartError", "ServerUnavailable", "start_server"]
