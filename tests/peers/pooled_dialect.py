"""A pytest plugin for SQLAlchemy's own suite: dialects such as ``mysql+peer_asyncmy``, which make a pool of their own.

The suite makes engines from URLs; `create_async_engine(pool)` has a pool already. The rest is the dialect as it is.
"""

import asyncio
import importlib
from typing import Any

from sqlalchemy.dialects import registry

from async_mysqlpool import ConnectionPool, PooledConnection
from async_mysqlpool.integrations import sqlalchemy as ours


class _FromUrl:
    """Opens a pool for each event loop, with what the dialect itself has made of the URL."""

    driver: str

    def __init__(self, **options: Any) -> None:
        super().__init__(lender=None, **options)
        self._pools: dict[asyncio.AbstractEventLoop, ConnectionPool] = {}
        self._parameters: dict[str, Any] = {}

    @classmethod
    def load_provisioning(cls) -> None:
        """How the suite prepares MySQL is found by the module of the dialect."""
        importlib.import_module("sqlalchemy.dialects.mysql.provision")

    def connect(self, *_: Any, **parameters: Any) -> Any:
        self._parameters = {
            **{"database" if key == "db" else key: value for key, value in parameters.items() if key != "client_flag"},
            "connect_args": {"client_flag": parameters["client_flag"]},
        }
        return super().connect()

    async def _borrow(self) -> PooledConnection:
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            self._pools[loop] = ConnectionPool(driver=self.driver, min_size=0, max_size=100, **self._parameters)
            await self._pools[loop].open()
        self._lender = self._pools[loop]
        return await super()._borrow()


for _name, _classes in ours._DIALECTS.items():
    for _scheme, _class in zip(("mysql", "mariadb"), _classes, strict=True):
        _made = type(f"{_scheme}_{_name}", (_FromUrl, _class), {"supports_statement_cache": True})
        globals()[_made.__name__] = _made
        registry.register(f"{_scheme}.peer_{_name}", __name__, _made.__name__)
