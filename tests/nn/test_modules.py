"""Arguments of layers on crossbars, and what torch does with the layers."""

import io

import pytest
import torch
from torch import nn

from analogdp.errors import InputError
from analogdp.nn import CrossbarConv2d, CrossbarLinear, convert, program


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CrossbarLinear(8, 4, "ecram_mo"), r"^bias 'ecram_mo': .*synapse="),
        (lambda: CrossbarLinear(8, 4, {"device": "ecram_mo"}), r"^bias .*synapse="),
        (lambda: CrossbarLinear(8, 4, 1), r"^bias 1: expected True or False"),
        (lambda: CrossbarLinear(0, 4), r"^in_features 0: expected a whole number from 1 on"),
        (lambda: CrossbarLinear(8, 0), r"^out_features 0"),
        (lambda: CrossbarLinear(8, "ecram_mo"), r"^out_features .*synapse='ecram_mo'"),
        (lambda: CrossbarLinear(8, 2.5), r"^out_features 2.5"),
        (lambda: CrossbarLinear(8, True), r"^out_features True"),
        (lambda: CrossbarLinear(8, 4, synapse=5), r"^synapse 5: "),
        (lambda: CrossbarLinear(8, 4, seed="x"), r"^seed 'x': expected a whole number from 0 to 9223372036854775807"),
        (lambda: CrossbarLinear(8, 4, name=3), r"^name 3: "),
        (lambda: CrossbarConv2d(1, 2, 3, "ecram_mo"), r"^stride 'ecram_mo': .*synapse='ecram_mo'"),
        (lambda: CrossbarConv2d(1, 2, 3, 1, 0, 1, "ecram_mo"), r"^bias 'ecram_mo': .*synapse="),
        (lambda: CrossbarConv2d(0, 2, 3), r"^in_channels 0"),
        (lambda: CrossbarConv2d(1, 2, (3, 0)), r"^kernel_size 0"),
        (lambda: CrossbarConv2d(1, 2, (3, 3, 3)), r"^kernel_size \(3, 3, 3\)"),
        (lambda: CrossbarConv2d(1, 2, 3, dilation=0), r"^dilation 0"),
        (lambda: CrossbarConv2d(1, 2, 3, padding=-1), r"^padding -1: expected a whole number from 0 on"),
        (lambda: CrossbarConv2d(1, 2, 3, seed=-1), r"^seed -1"),
    ],
)
def test_arguments_that_are_not_of_their_kind_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.mark.filterwarnings("ignore::analogdp.errors.AnalogdpWarning")  # torch draws the weights, anew each time
@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Conv2d(2, 3, 2)])
@pytest.mark.parametrize("programmed", [True, False])
def test_a_saved_module_reads_the_same(layer, programmed):
    synapse = {
        "device": {"card": "reram_sb", "read_noise": 0.01},
        "adc": {"bits": 6, "range": "calibrated"},
        "weight_range": 0.5,
    }
    model = convert(nn.Sequential(layer), synapse, seed=1).eval()
    x = torch.rand(4, 6) if isinstance(layer, nn.Linear) else torch.rand(4, 2, 5, 5)
    if programmed:
        program(model, x)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    copy = torch.load(file, weights_only=False)
    assert torch.equal(copy(x), model(x))
