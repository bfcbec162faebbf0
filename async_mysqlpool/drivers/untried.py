"""A driver of a version, or of a distribution, that nobody has tried with this pool: its first connection decides.

If the adapter fits (`proof.py`), it works as with any other version. If not, only what the driver documents is used of
it (`public.py`), every connection once, and the log says so.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.proof import UnprovedError, prove

if TYPE_CHECKING:
    from async_mysqlpool.drivers.base import ConnectParams, Driver

__all__ = ["UntriedDriver"]

logger = logging.getLogger("async_mysqlpool")


class UntriedDriver:
    """Acts as the adapter, or, when that was found not to fit, as the other one.

    Args:
        adapter: the full one.
        public: what needs no private part of the driver.
        called: the driver and its version, as the log says it.
        tested: the versions that the adapter was tried with.
    """

    def __init__(self, adapter: Driver, public: Driver, called: str, tested: str) -> None:
        self._public = public
        self._called = called
        self._tested = tested
        self._chosen = adapter
        self._proved = False
        self._act_as(adapter)

    def _act_as(self, driver: Driver) -> None:
        """All that a driver does but connecting, without another step in between."""
        self._chosen = driver
        for name in dir(driver):
            if not name.startswith("_") and name != "connect":
                setattr(self, name, getattr(driver, name))

    async def connect(self, params: ConnectParams) -> Any:
        """With the adapter, once it is proved. Several connections that are opened at once may each prove it."""
        if not self._proved:
            try:
                await prove(self._chosen, params, self._public.abort)
            except UnprovedError as exc:
                self._do_without(exc)
            self._proved = True
        return await self._chosen.connect(params)

    def _do_without(self, exc: UnprovedError) -> None:
        if self._chosen is self._public:
            return
        self._act_as(self._public)
        logger.warning(
            "%s is none of the versions that this pool was tested with (%s), and differs where it matters (%s): "
            "sessions are not reset but every connection is used once; is there a newer async-mysqlpool?",
            self._called, self._tested, exc, extra={"event": "driver_untried", "driver": self._public.name},
        )  # fmt: skip
