"""How long borrowers wait when requests come at random, at a rate: Erlang's formula for a queue before n servers.

https://en.wikipedia.org/wiki/Erlang_(unit)#Erlang_C_formula
"""

from __future__ import annotations

import math

__all__ = ["chance_to_wait", "wait_of"]


def chance_to_wait(size: int, load: float) -> float:
    """The share of requests that find all connections busy.

    Args:
        size: connections.
        load: requests per second x seconds that each holds one; the connections busy on average.
    """
    if load >= size:
        return 1.0
    blocked = 1.0  # Erlang's B, which has no factorials when it is built up step by step
    for number in range(1, size + 1):
        blocked = load * blocked / (number + load * blocked)
    return size * blocked / (size - load * (1 - blocked))


def wait_of(part: float, size: int, rate: float, service: float) -> float:
    """Seconds that no more than the share 1 - `part` of all requests wait; infinite if the queue only grows.

    Args:
        part: such as 0.99.
        size: connections.
        rate: requests per second.
        service: seconds that each holds a connection.
    """
    load = rate * service
    if load >= size:
        return math.inf
    chance = chance_to_wait(size, load)
    return max(0.0, math.log(chance / (1 - part)) * service / (size - load)) if chance > 0 else 0.0
