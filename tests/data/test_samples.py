"""Samples are read as numbers from whatever they are kept as."""

import numpy as np
import pytest
import torch

from analogdp.data import Samples

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 2, 3, 4), dtype=np.uint8)


@pytest.fixture(params=["memory", "file"])
def kept(request, tmp_path):
    """The same bytes in memory and as a memory map."""
    if request.param == "memory":
        return torch.from_numpy(PIXELS)
    np.save(tmp_path / "pixels.npy", PIXELS)
    return np.load(tmp_path / "pixels.npy", mmap_mode="r")


@pytest.mark.parametrize("rows", [slice(None), slice(3, 11), slice(18, 99), torch.tensor([4, 0, 4, 19])], ids=str)
def test_bytes_are_read_as_brightness(kept, rows):
    samples = Samples.of(kept)
    expected = PIXELS.reshape(20, -1)[rows] / np.float32(255)
    assert (len(samples), samples.shape, samples.features) == (20, (20, 24), 24)
    assert torch.equal(samples[rows], torch.tensor(expected))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_stay_bytes_when_they_are_read_as_another_type(kept, dtype):
    samples = Samples.of(kept).to("cpu", dtype)
    assert samples.raw.dtype in (torch.uint8, np.uint8)
    assert samples[:2].dtype == samples.dtype == dtype
    np.testing.assert_array_equal(samples[:].numpy(), PIXELS.reshape(20, -1) / np.dtype(str(dtype)[6:]).type(255))


def test_a_memory_map_stays_in_its_file_and_can_be_read_by_any_program(kept):
    samples = Samples.of(kept).to("cpu", torch.float64).take(torch.tensor([7, 7, 2]))
    assert isinstance(samples.raw, type(kept))
    read = samples[:]
    read.zero_()
    assert samples[:].sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_are_read_as_they_are_and_become_another_type_at_once(dtype):
    values = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    samples = Samples.of(values).to("cpu", dtype)
    assert torch.equal(samples[torch.tensor([2, 1])], values[[2, 1]])
    assert samples.to("cpu", torch.float32).raw.dtype == torch.float32


def test_whole_numbers_become_floats():
    assert torch.equal(Samples.of(np.array([[1, -2], [3, 4]]))[:], torch.tensor([[1.0, -2.0], [3.0, 4.0]]))


def test_taking_twice_takes_of_what_was_taken(kept):
    samples = (
        Samples.of(kept).take(slice(3, 15)).take(torch.arange(2, 12)).take(torch.tensor([9, 0, 0])).take(slice(1, None))
    )
    np.testing.assert_array_equal(samples[:].numpy(), PIXELS.reshape(20, -1)[[5, 5]] / np.float32(255))
    assert len(samples) == 2


def test_scalings_follow_one_another(kept):
    shift, spread = torch.linspace(0, 1, 24, dtype=torch.float64), torch.linspace(1, 2, 24, dtype=torch.float64)
    samples = Samples.of(kept).rescaled(shift, spread).rescaled(0.5, 4.0).to("cpu", torch.float64)
    expected = ((PIXELS.reshape(20, -1) / 255 - shift.numpy()) / spread.numpy() - 0.5) / 4
    np.testing.assert_allclose(samples[:].numpy(), expected, rtol=0, atol=1e-15)


def test_targets_of_classes_take_no_memory_for_each_sample_and_class():
    labels = torch.tensor([2, 0, 1, 2])
    targets = Samples.one_hot(labels, 3)
    assert torch.equal(targets[:], torch.nn.functional.one_hot(labels, 3).float())
    assert torch.equal(targets[torch.tensor([3, 1])], torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    assert targets.raw.shape == (3, 3)


@pytest.mark.gpu
@pytest.mark.parametrize("taken", [slice(None), torch.tensor([3, 3, 1])], ids=str)
def test_samples_are_read_on_the_device_bit_for_bit(kept, taken):
    samples = Samples.of(kept).take(taken)
    there = samples.to("cuda")
    assert isinstance(there.raw, torch.Tensor) == isinstance(kept, torch.Tensor)
    rows = torch.tensor([2, 0])
    for index in (rows, rows.to("cuda"), slice(1, None)):
        here = index.cpu() if isinstance(index, torch.Tensor) else index
        assert there[index].device.type == "cuda"
        assert torch.equal(there[index].cpu(), samples[here])
