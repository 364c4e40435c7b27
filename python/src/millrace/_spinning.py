"""Whether a task looks for some microseconds before it waits in its event loop.

A wake-up through the kernel and a turn of asyncio take longer than most answers do. So a task that finds nothing looks for a while
in the library, with the interpreter unlocked, before it lets its loop sleep. Other tasks wait meanwhile: so each handle learns whether
that pays, and there is one account for all of them. Spins that find nothing are paid from it, those that find something pay in what a
wake-up would have cost, and time brings a twentieth of itself. Node's side does the same (lib/base/spin-allowance.ts).
"""

from __future__ import annotations

import time
from typing import ClassVar, Optional

now = time.monotonic_ns

# About what a wake-up through the kernel takes.
_SAVED_NS = 20_000
# The most that can be saved up, and the deepest debt.
_MOST_NS = 1_000_000
_SHARE_OF_TIME = 20
_USUAL_NS = 50_000
# No spin is longer, whatever was asked for: the loop stands still.
_LONGEST_NS = 1_000_000
# After so long without one the loop has a turn.
_TURN_NS = 1_000_000
# Of the last spins; at 0 only one time in `_SELDOM` is tried.
_BEST = 8
_SELDOM = 16


class Spinning:
    """Of a handle. ``seconds`` are its option ``spin``."""

    __slots__ = ("_ns", "_score", "_skipped", "_turned", "turn_is_due")

    # Of all handles. Threads that write them at once lose an entry: no matter.
    _account: ClassVar[int] = _MOST_NS
    _counted: ClassVar[int] = now()

    def __init__(self, seconds: Optional[float]) -> None:
        self._ns = _USUAL_NS if seconds is None else min(round(seconds * 1e9), _LONGEST_NS)
        self._score = _BEST // 2
        self._skipped = 0
        self._turned = 0
        self.turn_is_due = False

    def budget(self, timeout: Optional[float]) -> int:
        """Nanoseconds to look for; 0: not this time."""
        ns = self._ns
        if timeout is None and self._score > 0 and Spinning._account > 0:
            return ns
        if ns == 0 or (timeout is not None and timeout * 1e9 < ns):
            return 0
        if Spinning._account <= 0:
            at = now()
            self._enter((at - Spinning._counted) // _SHARE_OF_TIME)
            Spinning._counted = at
            if Spinning._account <= 0:
                return 0
        if self._score > 0:
            return ns
        self._skipped = (self._skipped + 1) % _SELDOM
        return ns if self._skipped == 0 else 0

    def paid(self, began: int) -> None:
        """Something was found by a look that began at that time."""
        ended = now()
        if self._score < _BEST:
            self._score += 1
        account = Spinning._account + _SAVED_NS - (ended - began)
        Spinning._account = account if account < _MOST_NS else _MOST_NS
        if ended - self._turned > _TURN_NS:
            self.turn_is_due = True

    def lost(self, began: int) -> None:
        """Nothing was."""
        ended = now()
        if self._score > 0:
            self._score -= 1
        self._enter((ended - Spinning._counted) // _SHARE_OF_TIME - (ended - began))
        Spinning._counted = ended
        self._turned = ended  # the task waits, and the loop has its turn
        self.turn_is_due = False

    def turned(self) -> None:
        """The loop has had a turn."""
        self.turn_is_due = False
        self._turned = now()

    @staticmethod
    def _enter(ns: int) -> None:
        Spinning._account = min(max(Spinning._account + ns, -_MOST_NS), _MOST_NS)
