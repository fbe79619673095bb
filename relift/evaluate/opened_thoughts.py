"""Find out from answers whether their prompts opened the thoughts, where a server wrote the prompts.

A server's chat template may end with an opening tag. Then an answer that was cut off inside its thoughts holds no tag
at all, and a box in it is no final answer. Other answers of the same run tell: they close thoughts that they did not
open.
"""

from __future__ import annotations

from collections.abc import Sequence

from relift.engines.texts import Reply
from relift.grading.extract import TagPairs
from relift.schema import Finish

ENOUGH = 16  # answers that tell, after which it is settled


class OpenedThoughts:
    """Hold back cut-off answers without a tag until others tell what they are. `opened`: what is known, or None.

    It is settled by a majority of ENOUGH answers that tell, or of those that there are at the end.
    """

    def __init__(self, tags: TagPairs, *, opened: bool | None = None) -> None:
        self.opened = opened
        self._tags = tuple(tags)
        self._told = self._closing = 0
        self._held: list[tuple[int, Reply]] = []

    def sort(self, batch: Sequence[tuple[int, Reply]]) -> list[tuple[int, Reply]]:
        """Take answers as they come; return those that can be graded, now and then with those that had waited."""
        if self.opened is not None:
            return list(batch)
        ready = []
        for index, reply in batch:
            tells, closes = self._reading(reply)
            self._told += tells
            self._closing += closes
            if tells:
                ready.append((index, reply))
            else:
                self._held.append((index, reply))
        return ready + (self.settle() if self._told >= ENOUGH else [])

    def settle(self, *, complete: bool = True) -> list[tuple[int, Reply]]:
        """Settle it by the answers that came, and return those that had waited. Not `complete`: others are still to
        come in a later start, so with none that tells it stays open."""
        if not complete and not self._told:
            return []
        self.opened = 2 * self._closing > self._told if self.opened is None else self.opened
        held, self._held = self._held, []
        return held

    def _reading(self, reply: Reply) -> tuple[bool, bool]:
        """Tell whether an answer says something of its prompt, and whether it closes thoughts that it did not open."""
        openings = [at for tag, _ in self._tags if (at := reply.text.find(tag)) >= 0]
        closings = [at for _, tag in self._tags if (at := reply.text.find(tag)) >= 0]
        closes = bool(closings) and min(openings, default=len(reply.text)) > min(closings)
        return bool(openings or closings) or reply.finish is Finish.stop, closes
