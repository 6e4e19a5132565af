import torch

from analogdp.network import build, resolve_device


def test_initial_weights_have_variance_gain_squared_over_fan_in(make_scenario):
    weights = build(make_scenario((64, 400, 10), network={"gain": 2.0})).synapses[0].weights
    assert abs(weights.std().item() * 64**0.5 / 2 - 1) < 0.02


def test_a_chip_is_the_same_whichever_chips_are_built_with_it(make_scenario):
    scenario = make_scenario(
        chips=4, mismatch={"tau": 0.1, "alpha": 0.02, "offset": 0.01, "gain": {"compartments": 0.1}}
    )
    together, alone = build(scenario), build(scenario, chips=(2,))
    assert alone.chip_indices == (2,)
    for mine, theirs in zip(alone.layers, together.layers, strict=True):
        assert torch.equal(mine.tau[:, 0], theirs.tau[:, 2])
        for name in ("push", "pull", "mix"):
            assert torch.equal(getattr(mine.neuron, name)[0], getattr(theirs.neuron, name)[2])
        for name in ("offset", "gain"):
            assert torch.equal(getattr(mine.neuron, name)[:, 0], getattr(theirs.neuron, name)[:, 2])
    for mine, theirs in zip(alone.synapses, together.synapses, strict=True):
        assert torch.equal(mine.weights[0], theirs.weights[2])


def test_seeds_give_different_networks_and_the_same_seed_the_same(make_scenario):
    one, again, other = (build(make_scenario(seed=seed)).synapses[0].weights for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_bias_can_be_left_out(make_scenario):
    assert all(layer.bias is None for layer in build(make_scenario(network={"bias": False})).layers)


def test_the_dtype_is_the_scenarios(make_scenario):
    network = build(make_scenario(run={"dtype": "float32"}, mismatch={"tau": 0.1}))
    assert network.dtype == network.layers[0].tau.dtype == torch.float32


def test_auto_is_a_real_device():
    assert resolve_device("auto").type in ("cpu", "cuda")
    assert resolve_device("cpu") == torch.device("cpu")
