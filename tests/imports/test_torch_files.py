import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from analogdp.errors import InputError
from analogdp.imports.torch_files import of_mapping, read_state_dict


def test_a_file_of_tensors_keeps_their_order(tmp_path):
    model = nn.ModuleDict({"zeta": nn.Linear(2, 3), "alpha": nn.Linear(3, 1)})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    found = read_state_dict(tmp_path / "model.pt")
    assert found.ordered
    assert list(found.tensors) == ["zeta.weight", "zeta.bias", "alpha.weight", "alpha.bias"]


def test_a_pickled_model_is_not_loaded(tmp_path):
    torch.save(nn.Linear(2, 3), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"holds more than tensors.*save model\.state_dict\(\)"):
        read_state_dict(tmp_path / "model.pt")


def test_a_checkpoint_of_more_than_tensors_names_what_is_none(tmp_path):
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="'epoch' is a int, 'state_dict' is a dict, not a tensor"):
        read_state_dict(tmp_path / "model.pth")


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_damaged_file_is_said_to_be(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(range(60)))
    with pytest.raises(InputError, match="damaged"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"hello", b"e junk", b"", b"0", bytes(range(60)), *(pickle.dumps({"a": [1]}, own) for own in (0, 2, 4))]
)
def test_what_torch_did_not_save_is_refused_with_what_is_wanted_and_no_warning(content, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"not saved by torch.*wanted is what torch\.save\(model\.state_dict\(\), path\)"
    ):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("name", "words"), [("none.pt", "no such file"), ("model.h5", "a torch model comes as .safetensors")]
)
def test_other_files_are_refused(name, words, tmp_path):
    (tmp_path / "model.h5").touch()
    with pytest.raises(InputError, match=words):
        read_state_dict(tmp_path / name)


def test_a_newer_file_is_refused(tmp_path):
    metadata = {"format": "analogdp-torch-module", "format_version": "2"}
    save_file({"weight": torch.zeros(1, 1)}, tmp_path / "model.safetensors", metadata)
    with pytest.raises(InputError, match="format version 2, but this release of analogdp reads versions up to 1"):
        read_state_dict(tmp_path / "model.safetensors")


def test_a_thing_that_is_no_state_dict_is_named():
    with pytest.raises(InputError, match="model: a list, not a state_dict"):
        of_mapping([], "model")
