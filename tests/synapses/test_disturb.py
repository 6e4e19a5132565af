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
    along, against = torch.zeros_like(pulses), torch.zeros_like(pulses)
    for o in range(outputs):
        for i in range(inputs):
            for other_o in range(outputs):
                for other_i in range(inputs):
                    same_tile = o // columns == other_o // columns and i // rows == other_i // rows
                    shares_line = (o == other_o) != (i == other_i)
                    if same_tile and shares_line:
                        along[..., o, i] += pulses[..., other_o, other_i]
                    if same_tile and o != other_o and i != other_i and scheme == "third":
                        against[..., o, i] += pulses[..., other_o, other_i]
    found = exposures(pulses, tile, scheme)  # type: ignore[arg-type]
    assert torch.equal(found[0], along)
    assert torch.equal(found[1], against)
