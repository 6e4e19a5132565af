"""How often cells see a part of the voltage that is meant for others."""

import pytest
import torch

from analogdp.synapses.disturb import exposures


@pytest.mark.parametrize("scheme", ["half", "third"])
@pytest.mark.parametrize("tile", [None, (4, 2), (100, 100)])
def test_exposures_are_those_of_a_loop_over_all_pairs_of_cells(scheme: str, tile: tuple[int, int] | None) -> None:
    outputs, inputs = 5, 7
    pulses = torch.randint(0, 4, (2, 2, outputs, inputs), generator=torch.Generator().manual_seed(1)).double()
    rows, columns = tile or (inputs, outputs)
    expected = torch.zeros_like(pulses)
    for o in range(outputs):
        for i in range(inputs):
            for other_o in range(outputs):
                for other_i in range(inputs):
                    same_tile = o // columns == other_o // columns and i // rows == other_i // rows
                    shares_line = (o == other_o) != (i == other_i)
                    other = (o, i) != (other_o, other_i)
                    if same_tile and (shares_line if scheme == "half" else other):
                        expected[..., o, i] += pulses[..., other_o, other_i]
    assert torch.equal(exposures(pulses, tile, scheme), expected)  # type: ignore[arg-type]
