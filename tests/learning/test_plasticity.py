import torch

from analogdp.learning.plasticity import ContrastiveHebbian
from analogdp.neurons import DualPropagationTransposed, LeastSquares
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.streams import Stream


def test_contrastive_hebbian_is_the_batch_mean_of_delta_over_beta_times_the_message_below():
    neuron = DualPropagationTransposed.build(
        DualPropagationTransposed.Settings(beta=0.4), LeastSquares(), MismatchSettings(), 3, Stream(0, "layer")
    )
    generator = torch.Generator().manual_seed(0)
    state, below = torch.randn(2, 1, 5, 3, generator=generator), torch.randn(1, 5, 4, generator=generator)
    (update,) = ContrastiveHebbian(1.0, []).updates(0, neuron.learning_signal(state), below, samples=5)
    expected = sum(torch.outer((state[0] - state[1])[0, row] / 0.4, below[0, row]) for row in range(5)) / 5
    torch.testing.assert_close((update.post.mT @ update.pre)[0], expected)
    assert update.decay is None
    assert update.polarity == "both"
