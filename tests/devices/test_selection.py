"""Working on chosen cells alone."""

import torch

from analogdp.devices import DeviceState
from analogdp.devices.selection import pick, pick_state, places, put, put_state


def cells(planes: int) -> torch.Tensor:
    return torch.randn(1, planes, 6, 7, generator=torch.Generator().manual_seed(planes))


def test_places_are_those_of_what_is_not_zero() -> None:
    chosen = torch.tensor([[0.0, -2.0, 0.5], [float("nan"), 0.0, 1e-30]])
    assert places(chosen).tolist() == [1, 2, 3, 5]
    assert places(torch.zeros(3)).tolist() == []


def test_picked_places_are_the_same_on_every_plane() -> None:
    both, chosen = cells(2), torch.tensor([3, 8, 41])
    assert torch.equal(pick(both, chosen), both.flatten(2)[:, :, chosen].unsqueeze(2))


def test_what_is_put_back_changes_the_chosen_places_alone() -> None:
    both, chosen = cells(2), torch.tensor([3, 8, 41])
    before = both.clone()
    put(both, chosen, pick(both, chosen) + 1.0)
    changed = both != before
    assert places(changed[0, 0]).tolist() == places(changed[0, 1]).tolist() == chosen.tolist()
    assert torch.equal(both[changed], before[changed] + 1.0)


def test_of_a_state_only_variables_are_put_back() -> None:
    state, chosen = DeviceState({"stored": cells(1)}, {"upper": cells(2)[:, :1]}), torch.tensor([0, 5])
    upper = state.parameters["upper"].clone()
    few = pick_state(state, chosen)
    for part in (few.variables, few.parameters):
        for tensor in part.values():
            tensor.zero_()
    put_state(state, chosen, few)
    assert places(state.variables["stored"] == 0).tolist() == [0, 5]
    assert torch.equal(state.parameters["upper"], upper)
