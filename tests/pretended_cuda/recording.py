"""What a capture sees: the operations in their order, on the memory that they will always be on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from pretended_cuda.operations import PRODUCTS
from torch.utils._python_dispatch import _disable_current_modes


def buffer(tensor: torch.Tensor) -> int:
    """The address of a tensor's memory; a view's is that of what it is a view of."""
    return tensor.untyped_storage().data_ptr()


class Recording:
    """The operations of one capture, and what they did while they were shown: a capture itself runs nothing.

    Args:
        generators: those registered with the graph, by address.
    """

    def __init__(self, generators: set[int]) -> None:
        self.generators = generators
        self.calls: list[tuple[Callable[[], Any], dict[int, torch.Tensor]]] = []
        self.created: set[int] = set()  # memory of the graph's own
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}  # memory, and its copy
        self.reads: dict[int, str] = {}  # memory of others, and an operation that reads it
        self.writes: dict[int, str] = {}
        self.multiplies = False

    def keep(self, written: Iterable[torch.Tensor]) -> None:
        """Copy what an operation is about to change."""
        for tensor in written:
            storage, place = tensor.untyped_storage(), buffer(tensor)
            if place not in self.created and place not in self.before:
                self.before[place] = storage, storage.clone()

    def add(
        self,
        name: str,
        call: Callable[[], Any],
        read: Iterable[int],
        written: Sequence[torch.Tensor],
        made: Mapping[int, torch.Tensor],
    ) -> None:
        """Take in an operation: the memory that it read, what it changed and, by places in its result, what it made."""
        self.multiplies |= name in PRODUCTS
        self.reads |= {place: name for place in read if place not in self.created}
        self.writes |= {buffer(tensor): name for tensor in [*written, *made.values()]}
        self.created |= {buffer(tensor) for tensor in made.values()}
        if written or made:  # else it gave views of what there is, and they stay
            self.calls.append((call, dict(made)))

    def undo(self) -> None:
        """Put everything back as it was, and leave nonsense in what has no value before a replay."""
        for storage, copy in self.before.values():
            storage.copy_(copy)
        self.before.clear()
        for _, made in self.calls:
            for tensor in made.values():
                if tensor.is_floating_point():
                    tensor.fill_(torch.nan)

    def replay(self) -> None:
        """Run the operations again on the same memory."""
        with _disable_current_modes():
            for call, made in self.calls:
                fresh = results(call())
                for place, tensor in made.items():
                    tensor.copy_(fresh[place])


def results(result: Any) -> list[torch.Tensor]:
    """The tensors that an operation gave."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [tensor for part in result for tensor in results(part)]
    return []


_stack: list[Recording] = []


def recording() -> Recording | None:
    """The capture that is going on, if there is one."""
    return _stack[-1] if _stack else None


def begin(made: Recording) -> None:
    """Let a capture begin."""
    _stack.append(made)


def end() -> Recording:
    """Let it end."""
    return _stack.pop()


def reset() -> None:
    """No capture is going on: one may have failed halfway."""
    _stack.clear()
