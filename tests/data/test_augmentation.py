"""Training samples are moved and disturbed at random, each time that they are shown."""

import numpy as np
import pytest
import torch

from analogdp.data import Dataset
from analogdp.data.augmentation import Augmentation
from analogdp.streams import Stream

SHAPE = (2, 5, 4)
STREAM = Stream(0, "samples")


def pictures(batch, dtype=torch.uint8):
    """Pictures without a black pixel, so that the padding can be told."""
    return torch.randint(1, 256, (batch, 40), generator=torch.Generator().manual_seed(1)).to(dtype)


def windows(picture, crop):
    """All that a picture may become, by where its window is and whether it is mirrored."""
    padded = np.pad(picture.reshape(SHAPE), ((0, 0), (crop, crop), (crop, crop)))
    for down in range(2 * crop + 1):
        for right in range(2 * crop + 1):
            window = padded[:, down : down + 5, right : right + 4]
            yield (down, right, False), window.reshape(-1)
            yield (down, right, True), window[:, :, ::-1].reshape(-1)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
@pytest.mark.parametrize(("crop", "flip"), [(1, True), (2, False), (0, True)])
def test_every_picture_is_one_of_its_windows_and_all_of_them_are_equally_likely(crop, flip, dtype):
    """4000 pictures: every place has its share within 4.5 standard deviations of a binomial number."""
    shown = pictures(1, dtype).expand(4000, -1)
    moved = Augmentation(crop=crop, flip=flip).moved(shown, SHAPE, STREAM)
    assert moved.dtype == dtype
    known = {window.tobytes(): place for place, window in windows(shown[0].numpy(), crop) if flip or not place[2]}
    found = [known[row.tobytes()] for row in moved.numpy()]
    counts = np.array([found.count(place) for place in known.values()])
    share = 1 / len(known)
    assert np.abs(counts - 4000 * share).max() < 4.5 * np.sqrt(4000 * share * (1 - share))


def test_noise_has_its_standard_deviation_and_is_cut_off_only_if_wanted():
    values = torch.full((200, 50), 0.9, dtype=torch.float64)
    stream = Stream(0, "samples", dtype=torch.float64)
    noisy = Augmentation(noise=0.3).noisy(values, stream)
    assert noisy.std().item() == pytest.approx(0.3, rel=4 / np.sqrt(2 * 10_000))
    clamped = Augmentation(noise=0.3, clamp=True).noisy(values, stream)
    assert torch.equal(clamped, noisy.clamp(0, 1))
    assert noisy.max() > 1


@pytest.fixture
def dataset():
    labels = torch.arange(30) % 3
    images = pictures(30).reshape(30, *SHAPE)
    augmentation = Augmentation(crop=2, flip=True, noise=0.1)
    made = Dataset.of_classes("pictures", ("a", "b", "c"), (images, labels), (images, labels), SHAPE)
    return type(made)(**{**vars(made), "augmentation": augmentation})


def test_what_is_shown_follows_the_presentation_whichever_chips_there_are(dataset):
    rows = torch.tensor([4, 2, 2, 9])
    first, again, other = (
        dataset.training(rows, Stream(0, "learning", chips).at(update).child("samples"))[0]
        for chips, update in (((0, 1, 2), 5), ((7,), 5), ((0,), 6))
    )
    assert first.shape == (1, 4, 40)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0, 1], first[0, 2]), "each showing of a sample has draws of its own"


def test_test_samples_and_targets_are_left_alone(dataset):
    rows = torch.tensor([4, 2])
    _, targets, labels = dataset.training(rows, STREAM)
    assert labels.tolist() == [1, 2]
    assert torch.equal(targets[0], torch.eye(3)[labels])
    assert torch.equal(dataset.test_inputs[:], dataset.train_inputs[:])


@pytest.mark.gpu
def test_nothing_waits_for_the_device(dataset):
    there = dataset.to("cuda")
    rows, stream = torch.arange(8, device="cuda"), Stream(0, "s", device=torch.device("cuda"))
    there.training(rows, stream)
    torch.cuda.set_sync_debug_mode("error")
    try:
        there.training(rows, stream)
    finally:
        torch.cuda.set_sync_debug_mode("default")
