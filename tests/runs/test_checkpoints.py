from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from analogdp.errors import RunError
from analogdp.runs import load_checkpoint, load_newest, save_checkpoint
from analogdp.runs.checkpoints import DamagedCheckpointError, checkpoint_files, set_aside_newer


def tensors(value: float = 1.0) -> dict[str, Tensor]:
    """Views of one memory, a transposed one, odd types, an empty one and a scalar."""
    shared = torch.arange(12, dtype=torch.float32).reshape(3, 4) * value
    return {
        "a.weight": shared,
        "a.transposed": shared.t(),
        "a.row": shared[1],
        "counter": torch.tensor(2**62, dtype=torch.int64),
        "double": torch.full((2,), 1 / 3, dtype=torch.float64),
        "flags": torch.tensor([True, False]),
        "none": torch.empty(0, 3),
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }


def same_bits(a: Tensor, b: Tensor) -> bool:
    a, b = a.contiguous().reshape(-1), b.contiguous().reshape(-1)
    return a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8))


def test_tensors_of_any_kind_come_back_bit_for_bit(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save_checkpoint(tmp_path, 7, 1234, tensors()))
    assert (checkpoint.update, checkpoint.journal_length) == (7, 1234)
    assert checkpoint.tensors.keys() == tensors().keys()
    assert all(same_bits(checkpoint.tensors[name], value) for name, value in tensors().items())
    assert all(checkpoint.tensors[name].shape == value.shape for name, value in tensors().items())


def test_the_newest_two_are_kept_in_the_order_of_updates(tmp_path: Path) -> None:
    for update in (0, 9, 10, 99_999_999, 100_000_000):
        save_checkpoint(tmp_path, update, 0, tensors())
    assert [file.stem for file in checkpoint_files(tmp_path)] == ["update-99999999", "update-100000000"]


def test_every_flipped_bit_and_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 7, 1234, {"a": torch.arange(4.0), "b": torch.tensor([1, 2])})
    whole = path.read_bytes()
    reference = load_checkpoint(path)
    unnoticed = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        try:
            checkpoint = load_checkpoint(path)
        except DamagedCheckpointError:
            continue
        unnoticed += 1
        assert (checkpoint.update, checkpoint.journal_length) == (reference.update, reference.journal_length)
        assert all(same_bits(checkpoint.tensors[name], value) for name, value in reference.tensors.items())
    assert unnoticed < 8, "only the padding of the header may change without a consequence"
    for length in (0, 1, 8, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpointError, match="is damaged"):
            load_checkpoint(path)


def test_a_damaged_newest_gives_way_to_the_one_before_and_both_are_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 10, 0, tensors(2.0))
    newest = save_checkpoint(tmp_path, 20, 0, tensors(3.0))
    newest.write_bytes(newest.read_bytes()[:-1])
    said: list[str] = []
    checkpoint = load_newest(tmp_path, said.append)
    assert checkpoint is not None
    assert checkpoint.update == 10
    assert same_bits(checkpoint.tensors["a.weight"], tensors(2.0)["a.weight"])
    assert "update-00000020.safetensors is damaged" in said[0]
    assert "update-00000010.safetensors" in said[1]


def test_a_damaged_checkpoint_set_aside_takes_no_good_ones_place(tmp_path: Path) -> None:
    for update in (10, 20):
        save_checkpoint(tmp_path, update, 0, tensors())
    set_aside_newer(tmp_path, 10)
    save_checkpoint(tmp_path, 15, 0, tensors())
    names = ["update-00000010.safetensors", "update-00000015.safetensors", "update-00000020.safetensors.damaged"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names


def test_a_run_without_any_good_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    assert load_newest(tmp_path, print) is None
    for update in (1, 2):
        save_checkpoint(tmp_path, update, 0, tensors()).write_bytes(b"x" * 40)
    with pytest.raises(RunError, match=r"every checkpoint in .* is damaged"):
        load_newest(tmp_path, print)


def test_a_safetensors_file_of_another_kind_is_no_checkpoint(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "update-1.safetensors")
    with pytest.raises(DamagedCheckpointError, match="'sha256' is missing"):
        load_checkpoint(tmp_path / "update-1.safetensors")


def test_a_failed_write_leaves_the_old_checkpoints(tmp_path: Path) -> None:
    good = save_checkpoint(tmp_path, 1, 0, tensors())
    with pytest.raises(RuntimeError):
        save_checkpoint(tmp_path, 2, 0, {"sparse": torch.eye(3).to_sparse()})
    assert list(tmp_path.iterdir()) == [good]
