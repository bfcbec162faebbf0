"""The facts of a connection that cannot be listened to: none, so the worst is assumed and it is used once."""

from __future__ import annotations

__all__ = ["Unseen"]


class Unseen:
    """Stands where a wire would be."""

    due = own_due = 0
    doubt: str | None = None
    spent: str | None = None
    status = 0
    sees = lost = in_transaction = wrote = hears = False
    in_step = touched = stirred = moved = changed = unheard = unsafe = True

    def begin(self) -> None:
        """A borrow begins: nothing to do, because nothing is counted here."""

    def send(self, data: bytes, codes: tuple[int, ...], on_done: object, cork: bool = False) -> None:
        """Not possible.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("commands cannot be sent past this driver")

    def flush(self) -> None:
        """Write what was held back: nothing ever is."""

    def is_of(self, output: object) -> bool:
        """Whether the driver still writes to this output: taken for granted, as the connection is used only once."""
        return True

    def abort(self) -> None:
        """The driver closes its socket by its own means."""
