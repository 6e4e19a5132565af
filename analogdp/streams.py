"""Named random streams: every draw is a function of (seed, name, chip, indices), and of nothing else.

No draw touches torch's or numpy's global generator, and what was drawn before, by whom, and how many chips run
together never matters. So a run can be resumed anywhere, and one chip of many can be replayed alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

WHOLE_RUN = -1
"""Chip number of draws that all chips share, such as the order of the training samples."""


def stream(seed: int, name: str, *indices: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator at the start of the stream called ``name``, at the given indices.

    The key is hashed (BLAKE2), so neighbouring seeds and indices give unrelated streams, whatever PYTHONHASHSEED says.
    On the CPU torch's generator takes 32 bits of it: two streams of a run coincide with probability 2^-32.
    """
    key = "/".join((str(seed), name, *map(str, indices)))
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest, "little") >> 1)


_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Stream:
    """A named stream for a set of chips: each chip's numbers depend on that chip's index alone.

    Attributes:
        seed: the scenario's seed; for chips of several runs that are simulated together a tuple, one for each chip.
        name: what is drawn, for example ``"layer1/write"``.
        chips: the indices of the chips simulated together; a draw has one leading entry for each.
        device: where the numbers are drawn and live.
        dtype: floating-point type of the draws.
        indices: where in the stream, for example (epoch, batch).
    """

    seed: int | tuple[int, ...]
    name: str
    chips: tuple[int, ...] = (0,)
    device: torch.device = _CPU
    dtype: torch.dtype = torch.float32
    indices: tuple[int, ...] = ()

    def child(self, name: str) -> Stream:
        """The stream ``<this name>/<name>``."""
        return replace(self, name=f"{self.name}/{name}")

    def at(self, *indices: int) -> Stream:
        """This stream at further indices; draws at different indices are independent."""
        return replace(self, indices=self.indices + indices)

    def of_chips(self, chosen: slice) -> Stream:
        """The stream of some of the chips, by their places."""
        seeds = self.seed[chosen] if isinstance(self.seed, tuple) else self.seed
        return replace(self, seed=seeds, chips=self.chips[chosen])

    def of_each_seed(self) -> list[Stream]:
        """A stream of one chip for each different seed, in the order of the first chips that have it."""
        first = {seed: place for place, seed in reversed(list(enumerate(self._seeds)))}
        return [self.of_chips(slice(place, place + 1)) for place in sorted(first.values())]

    def normal(self, shape: tuple[int, ...], out: Tensor | None = None, std: float = 1.0) -> Tensor:
        """Normal numbers of mean 0, shape ``(chips, *shape)``; ``out`` is a contiguous tensor of that shape."""
        values = self._empty(shape) if out is None else out
        for row, generator in zip(values, self._generators(), strict=True):
            row.normal_(0.0, std, generator=generator)
        return values

    def uniform(self, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
        """Uniform numbers in [0, 1), shape ``(chips, *shape)``; ``out`` is a contiguous tensor of that shape."""
        values = self._empty(shape) if out is None else out
        for row, generator in zip(values, self._generators(), strict=True):
            row.uniform_(generator=generator)
        return values

    def shared(self) -> Stream:
        """The stream of draws that all chips of a run share: one leading entry, the same whatever the chips are.

        Chips of several runs have an entry each, which is the same for the chips of one run.
        """
        return replace(self, chips=(WHOLE_RUN,) * (len(self.seed) if isinstance(self.seed, tuple) else 1))

    def permutation(self, length: int) -> Tensor:
        """A random order of ``range(length)``, int64 on the CPU, shared by all chips.

        Raises:
            ValueError: the chips are of runs with different seeds, which have no order in common.
        """
        seed, *others = set(self._seeds)
        if others:
            raise ValueError(f"runs with different seeds have no common order: ask for that of each ({self.name})")
        generator = stream(seed, self.name, WHOLE_RUN, *self.indices)
        return torch.randperm(length, generator=generator)

    @property
    def _seeds(self) -> tuple[int, ...]:
        return self.seed if isinstance(self.seed, tuple) else (self.seed,) * len(self.chips)

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        return torch.empty((len(self.chips), *shape), device=self.device, dtype=self.dtype)

    def _generators(self) -> list[torch.Generator]:
        return [
            stream(seed, self.name, chip, *self.indices, device=self.device)
            for seed, chip in zip(self._seeds, self.chips, strict=True)
        ]
