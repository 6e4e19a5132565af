"""The crossbar's equations solved directly by nested dissection: cells form blocks, and pairs of blocks form larger blocks.

A block is known by what it does at its four sides. Its *near* ends, left and bottom, get voltages u and take up currents i; its
*far* ends, right and top, have currents j drawn from them and show voltages v. Of a small block, the voltages of its cells are
(I + P G)^-1 F x with x = (u, j), and its response is C + F^T G (I + P G)^-1 F: F and C say what a block without cells does, P
is what its wires lose. Where two blocks A (near) and B (far) meet, A's far voltage is B's near voltage v, and B's near current
is A's far current q. With R the resistance seen into A and Y the conductance seen into B,

    v = A e_A - R q,    q = B e_B + Y v    =>    (I + R Y) v = A e_A - R B e_B

Both systems are well conditioned, as P, R and Y are positive semidefinite and stay finite however small resistances become.
Joining all pairs at once makes O(log rows + log columns) batched steps, and O(n^3) operations for n x n cells instead of O(n^4)
for line after line (the idea: George 1973, "Nested dissection of a regular finite element mesh").
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from analogdp.synapses.wires.circuit import Wires

Layout = tuple[int, ...]
Sizes = tuple[int, ...]
"""Numbers of wires in a block's four groups: near and far ends of its word lines, near and far ends of its bit lines."""

WORD_LINES, BIT_LINES = -3, -4
"""Directions of joining: the dimensions of blocks in a row and in a column."""

LAYOUTS = {WORD_LINES: (0, 2, 3, 1), BIT_LINES: (2, 0, 1, 3)}
"""Order of the groups before joining: near ends first, far ends last, so that all but one group is a slice."""

SMALLEST_BLOCK = 4
"""Least rows and columns of the first blocks: fewer need more joints, more need larger systems."""


@dataclass(frozen=True)
class Blocks:
    """Equal blocks side by side.

    ``response`` ``(..., vertical, horizontal, outputs, inputs)`` gives (i_w, v_w, i_b, v_b) of (u_w, j_w, u_b, j_b), with the
    groups in the order ``layout``.
    """

    response: Tensor
    outputs: Sizes
    inputs: Sizes
    layout: Layout

    def part(self, outputs: tuple[int, ...], inputs: tuple[int, ...]) -> Tensor:
        """The response of some groups of wires, neighbours in the layout, to some others."""
        return self.response[..., self._slice(self.outputs, outputs), self._slice(self.inputs, inputs)]

    def _slice(self, sizes: Sizes, wanted: tuple[int, ...]) -> slice:
        start = sum(sizes[group] for group in self.layout[: self.layout.index(wanted[0])])
        return slice(start, start + sum(sizes[group] for group in wanted))

    def without(self, *, unasked: int | None = None, unused: int | None = None) -> Blocks:
        """The same blocks without a first or last group: outputs that nobody asks for, inputs that carry nothing."""
        outputs, inputs = (tuple(group for group in self.layout if group != gone) for gone in (unasked, unused))
        return Blocks(
            self.part(outputs, inputs), _emptied(self.outputs, unasked), _emptied(self.inputs, unused), self.layout
        )


@dataclass(frozen=True)
class Seam:
    """How the inputs of pairs of blocks follow from those of their joints."""

    near: Blocks
    far: Blocks
    voltage: Tensor
    direction: int
    sizes: Sizes

    def opened(self, inputs: list[Tensor]) -> list[Tensor]:
        """The inputs of all blocks, of those of the joints: four groups of ``(..., vertical, horizontal, wires, vectors)``."""
        n, *across, f = LAYOUTS[self.direction]
        near, far = inputs.copy(), inputs.copy()
        for group in across:
            near[group], far[group] = torch.split(inputs[group], [self.near.inputs[group], self.far.inputs[group]], -2)
        behind = torch.cat([far[group] for group in (*across, f)], -2)
        far[n] = self.voltage @ torch.cat([*(near[group] for group in (n, *across)), behind], -2)
        near[f] = self.far.part((n,), self.far.layout) @ torch.cat([far[n], behind], -2)
        return [
            torch.stack([_filled(pair[group], size) for pair in (near, far)], self.direction).flatten(
                self.direction - 1, self.direction
            )
            for group, size in enumerate(self.sizes)
        ]


def transfer(conductance: Tensor, wires: Wires) -> Tensor:
    """Currents ``(..., columns, rows)`` out of the bit lines per volt at the word lines, in siemens."""
    whole, _, layouts = _first_blocks(conductance, wires)
    for following in layouts:
        whole, _ = _joined(whole, following)
    rows, columns = conductance.shape[-2:]
    return -whole.part((2,), (0,))[..., 0, 0, :columns, :rows].flip(-1)


def device_voltages(conductance: Tensor, voltages: Tensor, wires: Wires) -> Tensor:
    """Voltages of all cells ``(..., vectors, rows, columns)`` for voltages ``(..., vectors, rows)`` at the word lines."""
    whole, cells, layouts = _first_blocks(conductance, wires)
    high, wide, first = whole.inputs[0], whole.inputs[2], whole.layout
    seams = []
    for following in layouts:
        whole, seam = _joined(whole, following)
        seams.append(seam)
    rows, columns = conductance.shape[-2:]
    driven = pad(voltages.flip(-1), (0, whole.inputs[0] - rows)).mT[..., None, None, :, :]
    inputs = [driven] + [_filled(driven[..., :0, :], size) for size in whole.inputs[1:]]
    for seam in reversed(seams):
        inputs = seam.opened(inputs)
    voltage = cells @ torch.cat([inputs[group] for group in first], -2)
    # (..., vertical, horizontal, high x wide, vectors) -> (..., vectors, vertical, high, horizontal, wide)
    voltage = torch.unflatten(voltage, -2, (high, wide)).movedim(-1, -5).transpose(-3, -2)
    return voltage.flatten(-4, -3).flatten(-2)[..., :rows, :columns].flip(-2)


def _first_blocks(conductance: Tensor, wires: Wires) -> tuple[Blocks, Tensor, list[Layout]]:
    """The smallest blocks from the lower left corner on, their cells' voltages per input, and the layouts after each joint."""
    rows, columns = conductance.shape[-2:]
    vertical, horizontal = _blocks_along(rows), _blocks_along(columns)
    high, wide = -(-rows // vertical), -(-columns // horizontal)
    # Empty lines at the far ends fill up the last blocks.
    cells = pad(conductance.flip(-2), (0, wide * horizontal - columns, 0, high * vertical - rows))
    cells = cells.reshape(*cells.shape[:-2], vertical, high, horizontal, wide).transpose(-3, -2).flatten(-2)

    layouts = _layouts(vertical, horizontal, high, wide)
    drive, empty, loss = _without_cells((vertical, horizontal, high, wide), wires, conductance)
    sizes = (high, high, wide, wide)
    order = torch.cat([torch.split(torch.arange(2 * (high + wide)), list(sizes))[group] for group in layouts[0]])
    drive, empty = drive[..., order], empty[..., order, :][..., order]
    identity = torch.eye(high * wide, dtype=cells.dtype, device=cells.device)
    voltage = torch.linalg.solve(identity + loss * cells[..., None, :], drive)
    response = empty + drive.mT @ (cells[..., None] * voltage)
    return Blocks(response, sizes, sizes, layouts[0]), voltage, layouts[1:]


def _without_cells(shape: tuple[int, int, int, int], wires: Wires, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """F, C and P of all blocks; ``shape`` counts blocks in a column and in a row, and rows and columns of a block."""
    vertical, horizontal, high, wide = shape
    word = _distances(horizontal, wide, wires.word_line, wires.word_end, like)
    bit = _distances(vertical, high, wires.bit_line, wires.bit_end, like)
    row, column = (torch.eye(length, dtype=like.dtype, device=like.device) for length in (high, wide))
    row_of_cell, column_of_cell = row.repeat_interleave(wide, 0), column.repeat(high, 1)
    to_word = word.repeat(1, high)[None, :, :, None].expand(vertical, -1, -1, -1)
    to_bit = bit.repeat_interleave(wide, 1)[:, None, :, None].expand(-1, horizontal, -1, -1)
    one = torch.ones_like(to_word)
    drive = torch.cat((one * row_of_cell, -to_word * row_of_cell, -one * column_of_cell, to_bit * column_of_cell), -1)
    # Cells share the wire from the end to the nearer of them.
    loss = torch.minimum(to_word, to_word.mT) * (row_of_cell @ row_of_cell.mT)
    loss = loss + torch.minimum(to_bit, to_bit.mT) * (column_of_cell @ column_of_cell.mT)
    swap = like.new_tensor(((0.0, 1.0), (1.0, 0.0)))
    through = _diagonal(torch.kron(swap, row), torch.kron(swap, column)).expand(vertical, horizontal, -1, -1)
    far = torch.cat((word[None, :, -1:].expand(vertical, -1, high), bit[:, None, -1:].expand(-1, horizontal, wide)), -1)
    at_far = _diagonal(*(torch.cat((torch.zeros_like(eye), eye), -1) for eye in (row, column)))
    return drive, through - at_far.mT @ (far[..., None] * at_far), loss


def _diagonal(first: Tensor, second: Tensor) -> Tensor:
    """Two matrices along the diagonal of a larger one."""
    return torch.cat((pad(first, (0, second.shape[-1])), pad(second, (first.shape[-1], 0))), -2)


def _distances(blocks: int, cells: int, segment: float, end: float, like: Tensor) -> Tensor:
    """Resistance ``(blocks, cells)`` between a block's near end and its cells; the first block has the line's end in it."""
    distances = segment * torch.arange(1, cells + 1, dtype=like.dtype, device=like.device).repeat(blocks, 1)
    distances[0] += end
    return distances


def _blocks_along(length: int) -> int:
    """A power of two, so that all blocks can be joined in pairs."""
    return 1 << max(0, (length // SMALLEST_BLOCK).bit_length() - 1)


def _layouts(vertical: int, horizontal: int, high: int, wide: int) -> list[Layout]:
    """A layout for each joint and one for the end: blocks stay as square as they can, since their sides make the work."""
    directions = []
    while vertical > 1 or horizontal > 1:
        if vertical == 1 or (horizontal > 1 and wide <= high):
            directions.append(WORD_LINES)
            horizontal, wide = horizontal // 2, wide * 2
        else:
            directions.append(BIT_LINES)
            vertical, high = vertical // 2, high * 2
    return [LAYOUTS[direction] for direction in (*directions, WORD_LINES)]


def _joined(blocks: Blocks, following: Layout) -> tuple[Blocks, Seam]:
    """Pairs of neighbours joined along the blocks' direction, with the wires laid out for the ``following`` joint."""
    direction = WORD_LINES if blocks.layout == LAYOUTS[WORD_LINES] else BIT_LINES
    n, *across, f = blocks.layout
    ahead, behind = (n, *across), (*across, f)
    pairs = torch.unflatten(blocks.response, direction, (-1, 2))
    near, far = (replace(blocks, response=line) for line in pairs.unbind(direction))
    if pairs.shape[direction - 1] == 1:
        far = far.without(unasked=f, unused=f)
        # Nobody asks for the currents into word lines, and bit lines end at ground.
        near = near.without(unasked=n) if direction == WORD_LINES else near.without(unused=n)
    resistance, conductance = near.part((f,), (f,)), far.part((n,), (n,))
    identity = torch.eye(resistance.shape[-1], dtype=resistance.dtype, device=resistance.device)
    inverse = torch.linalg.inv(identity - resistance @ conductance)
    far_current = far.part((n,), behind)
    voltage = torch.cat((inverse @ near.part((f,), ahead), (inverse @ resistance) @ far_current), -1)
    current = conductance @ voltage
    width = far_current.shape[-1]
    current[..., current.shape[-1] - width :] += far_current
    upper, lower = near.part(ahead, (f,)) @ current, far.part(behind, (n,)) @ voltage
    upper[..., : upper.shape[-1] - width] += near.part(ahead, ahead)
    lower[..., lower.shape[-1] - width :] += far.part(behind, behind)
    raw = torch.cat((upper, lower), -2)
    raw, outputs = _arranged(raw, near.outputs, far.outputs, blocks.layout, following, -2)
    response, inputs = _arranged(raw, near.inputs, far.inputs, blocks.layout, following, -1)
    return Blocks(response, outputs, inputs, following), Seam(near, far, voltage, direction, blocks.inputs)


def _arranged(
    raw: Tensor, near: Sizes, far: Sizes, layout: Layout, following: Layout, dimension: int
) -> tuple[Tensor, Sizes]:
    """Wires of near and far blocks, one set after the other, gathered into the groups of their joint."""
    n, *across, f = layout
    first, *pieces, last = torch.split(
        raw, [near[group] for group in (n, *across)] + [far[group] for group in (*across, f)], dimension
    )
    groups = {n: [first], f: [last], across[0]: pieces[::2], across[1]: pieces[1::2]}
    sizes = tuple(sum(piece.shape[dimension] for piece in groups[group]) for group in range(4))
    return torch.cat([piece for group in following for piece in groups[group]], dimension), sizes


def _emptied(sizes: Sizes, gone: int | None) -> Sizes:
    return tuple(0 if group == gone else size for group, size in enumerate(sizes))


def _filled(group: Tensor, size: int) -> Tensor:
    """Wires that were left out carry nothing."""
    return group if group.shape[-2] == size else group.new_zeros(*group.shape[:-2], size, group.shape[-1])
