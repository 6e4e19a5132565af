"""Crossbars whose lines have resistance: reads are those of the circuit, in both directions."""

from itertools import product
from typing import Any

import pytest
import torch

from analogdp.errors import InputError
from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings, LocalUpdate
from analogdp.synapses.wires import solve

STREAM = Stream(3, "wired", (0, 1), dtype=torch.float64)
WIRES = {"word_line": 40.0, "bit_line": 25.0, "source": 100.0, "sense": 30.0}
DEVICE = {"card": "gokmen_vlasov", "low": "10 uS", "high": "200 uS"}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


WEIGHTS = 0.2 * draw(2, 7, 9)
X, E = draw(2, 4, 9, seed=1), draw(2, 4, 7, seed=2)


def build(**settings: Any) -> Crossbar:
    whole = {"device": DEVICE, "weight_range": 1.0, "wires": WIRES, **settings}
    return Crossbar.build(CrossbarSettings.model_validate(whole), WEIGHTS, STREAM)


def circuit_read(
    crossbar: Crossbar, arrays: list[tuple[float, torch.Tensor]], x: torch.Tensor, drive: Any
) -> torch.Tensor:
    """Messages through the circuits of ``(factor, conductances (chips, out, in))``, tile by tile."""
    outputs, inputs = arrays[0][1].shape[-2:]
    rows, columns = crossbar.settings.tile or (inputs, outputs)
    to = outputs if drive == "word_lines" else inputs
    total = torch.zeros(*x.shape[:-1], to, dtype=x.dtype)
    for (factor, array), o, i in product(arrays, range(0, outputs, columns), range(0, inputs, rows)):
        out, into = slice(o, min(o + columns, outputs)), slice(i, min(i + rows, inputs))
        driven, sensed = (into, out) if drive == "word_lines" else (out, into)
        found = solve(array[:, out, into].mT, x[..., driven], *WIRES.values(), drive=drive, method="transfer_matrix")
        total[..., sensed] += factor * crossbar.mapping.scale * found.currents
    return total


def arrays_of(crossbar: Crossbar) -> list[tuple[float, torch.Tensor]]:
    cells = crossbar.device.conductance(crossbar._state())
    found = list(zip(crossbar.mapping.coefficients, cells.unbind(1), strict=True))
    if crossbar.settings.pair == "reference":
        assert crossbar.reference is not None
        found.append((-1.0, crossbar.reference.expand_as(cells[:, 0]).contiguous()))
    return found


@pytest.mark.parametrize("method", ["transfer_matrix", "conjugate_gradients"])
@pytest.mark.parametrize("tile", [None, "4x3"])
@pytest.mark.parametrize("pair", ["reference", "balanced", "one_sided"])
@pytest.mark.parametrize("unit", [{}, {"devices": 2, "significance": [3.0, 1.0]}], ids=str)
def test_reads_in_both_directions_are_those_of_the_circuit(
    method: str, tile: str | None, pair: str, unit: dict[str, Any]
) -> None:
    crossbar = build(pair=pair, tile=tile, unit=unit, wires={**WIRES, "method": method})
    up = circuit_read(crossbar, arrays_of(crossbar), X, "word_lines")
    down = circuit_read(crossbar, arrays_of(crossbar), E, "bit_lines")
    torch.testing.assert_close(crossbar(X), up, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(crossbar.backward_read(E), down, rtol=1e-9, atol=1e-12)
    assert (up - torch.bmm(X, crossbar.effective.mT)).abs().max() > 0.01


@pytest.mark.parametrize("method", ["transfer_matrix", "conjugate_gradients"])
@pytest.mark.parametrize("adc", [None, {"bits": 20, "range": 100.0}])
def test_a_digital_offset_is_exact_and_tiles_are_converted_one_by_one(method: str, adc: Any) -> None:
    crossbar = build(pair="offset", tile="4x3", adc=adc, wires={**WIRES, "method": method})
    offset = crossbar.mapping.scale * crossbar.device.zero * X.sum(-1, keepdim=True)
    expected = circuit_read(crossbar, arrays_of(crossbar), X, "word_lines") - offset
    torch.testing.assert_close(crossbar(X), expected, rtol=0, atol=1e-9 if adc is None else 1e-3)


def test_a_shared_column_is_a_bit_line_of_the_same_circuit() -> None:
    crossbar = build(pair="offset_column")
    array = crossbar.device.conductance(crossbar._state())[:, 0]
    read = circuit_read(crossbar, [(1.0, array)], X, "word_lines")
    torch.testing.assert_close(crossbar(X), read[..., :7] - read[..., 7:])
    driven = torch.cat((E, -E.sum(-1, keepdim=True)), -1)
    torch.testing.assert_close(crossbar.backward_read(E), circuit_read(crossbar, [(1.0, array)], driven, "bit_lines"))


@pytest.mark.parametrize("method", ["transfer_matrix", "conjugate_gradients"])
def test_reads_follow_a_write(method: str) -> None:
    crossbar = build(wires={**WIRES, "method": method})
    before = crossbar(X)
    crossbar.apply_update(LocalUpdate(0.05 * E, X), STREAM.at(0))
    torch.testing.assert_close(
        crossbar(X), circuit_read(crossbar, arrays_of(crossbar), X, "word_lines"), rtol=1e-9, atol=1e-12
    )
    assert not torch.allclose(crossbar(X), before)


def test_new_samples_are_read_to_the_bits_whatever_was_read_before() -> None:
    crossbar = build(wires={**WIRES, "method": "conjugate_gradients"})
    first = crossbar(X), crossbar.backward_read(E)
    continued = crossbar(0.9 * X), crossbar(X)
    assert not torch.equal(continued[1], first[0]), "reads go on from the solution before, so that bits may differ"
    crossbar.begin()
    assert torch.equal(crossbar(X), first[0])
    assert torch.equal(crossbar.backward_read(E), first[1])


def test_the_exported_weights_are_what_the_network_reads() -> None:
    dense, solved = (build(wires={**WIRES, "method": m}) for m in ("transfer_matrix", "conjugate_gradients"))
    table = dense.conductances()
    torch.testing.assert_close(torch.bmm(X, table.weights.mT), dense(X))
    torch.testing.assert_close(solved.conductances().weights, table.weights)
    assert (table.weights - table.scale * (table.plus - table.minus)).abs().max() > 0.01


def test_wires_without_resistance_are_no_wires() -> None:
    nothing = dict.fromkeys(WIRES, 0.0)
    torch.testing.assert_close(build(wires=nothing)(X), build(wires=None)(X))


@pytest.mark.parametrize(
    ("inputs", "outputs", "tile", "solves"),
    [(64, 300, None, False), (3000, 2500, None, True), (300, 300, "256x256", False)],
)
def test_large_tiles_are_solved_at_every_read_by_default(
    inputs: int, outputs: int, tile: str | None, solves: bool
) -> None:
    settings = CrossbarSettings.model_validate({"wires": {}, "tile": tile})
    assert settings.solves_at_reads(inputs, outputs) == solves


def test_a_restored_crossbar_reads_against_its_own_reference() -> None:
    one, other = (
        Crossbar.build(
            CrossbarSettings.model_validate({"device": "reram_array_om", "wires": WIRES}),
            WEIGHTS,
            Stream(seed, "wired", (0, 1), dtype=torch.float64),
        )
        for seed in (3, 4)
    )
    assert not torch.allclose(one(X), other(X))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(X), other(X))


@pytest.mark.parametrize("method", ["transfer_matrix", "conjugate_gradients"])
def test_lines_that_swallow_nearly_all_current_are_refused_with_the_share_that_arrives(method: str) -> None:
    wires = {"word_line": "10 kohm", "bit_line": "10 kohm", "method": method}
    with pytest.raises(
        InputError, match=r"synapse.wires: only 0\.\d+ % of the current arrives in a tile of 9 x 7 cells"
    ):
        build(wires={**wires, "source": "1 Mohm"})
