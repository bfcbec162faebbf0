"""The processes that are open on one server, one for each contender."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from processes import ContenderMissing, Worker
from threads import MOST_THREADS

if TYPE_CHECKING:
    from contenders import Account, Contender
    from jobs import Outcome
    from plan import Cell, Turn
    from rich.console import Console


class Workers(ExitStack):
    """Started when they are first wanted; leaving the `with` block ends them.

    Args:
        account: on which server.
        size: connections of each.
        console: told of contenders that cannot be had.
    """

    def __init__(self, account: Account, size: int, console: Console) -> None:
        super().__init__()
        self._account, self._size, self._console = account, size, console
        self._open: dict[Contender, Worker | None] = {}

    def possible(self, cell: Cell) -> Cell:
        """The cell without those of the others that are not installed, or not made for so many tasks."""
        return replace(cell, others=tuple(turn for turn in cell.others if self._can(turn)))

    def ask(self, turn: Turn) -> Outcome:
        """One round."""
        worker = self._worker(turn.contender)
        if worker is None:
            raise ContenderMissing(f"{turn.contender.label} is what the others are compared with")
        return worker.ask(turn.job)

    def _can(self, turn: Turn) -> bool:
        many = turn.contender.kind == "threads" and turn.job.tasks > MOST_THREADS
        return not many and self._worker(turn.contender) is not None

    def _worker(self, contender: Contender) -> Worker | None:
        if contender not in self._open:
            try:
                self._open[contender] = self.enter_context(closing(Worker(contender, self._account, self._size)))
            except ContenderMissing as missing:
                self._console.print(f"left out: {missing}")
                self._open[contender] = None
        return self._open[contender]
