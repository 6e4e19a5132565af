import torch

from analogdp.network import Layout

LAYOUT = Layout(compartments=2, chips=3, batch=4, units=(5, 6))


def test_views_share_the_buffer_layer_after_layer():
    flat = torch.arange(LAYOUT.size)
    first, second = LAYOUT.views(flat)
    assert first.shape == (2, 3, 4, 5)
    assert second.shape == (2, 3, 4, 6)
    assert torch.equal(torch.cat((first.flatten(), second.flatten())), flat)
    second[1, 2, 3, 5] = -1
    assert flat[-1] == -1


def test_leading_axes_are_kept():
    assert [view.shape for view in LAYOUT.views(torch.zeros(7, LAYOUT.size))] == [(7, 2, 3, 4, 5), (7, 2, 3, 4, 6)]


def test_expand_repeats_per_layer_values_over_the_batch():
    flat = LAYOUT.expand([torch.full((2, 3, 1, 5), 1.0), torch.full((2, 3, 1, 6), 2.0)])
    assert [view.unique().tolist() for view in LAYOUT.views(flat)] == [[1.0], [2.0]]
