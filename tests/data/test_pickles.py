"""Pickles read as data."""

import os
import pickle
import struct
import zlib

import numpy as np
import pytest

from analogdp.data.pickles import read_pickle, read_pickle_file
from analogdp.errors import InputError

ARRAY = np.arange(24, dtype=np.uint8).reshape(4, 6)
BATCH = {"data": ARRAY, "labels": [3, 1, 255, 70_000], "filenames": ["a.png", "b.png"], "count": 4, "none": None}


def python2_batch(array, labels):
    """The bytes that Python 2 with numpy wrote for a batch, instruction by instruction (protocol 2)."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    sizes = b"".join(b"J" + struct.pack("<i", size) for size in array.shape)
    dtype = b"cnumpy\ndtype\nq\x05(" + text(b"u1") + b"K\x00K\x01tq\x06Rq\x07(K\x03" + text(b"|") + b"NNN"
    dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    blank = b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85" + text(b"b") + b"\x87R"
    data = b"T" + struct.pack("<i", array.size) + array.tobytes()
    state = b"(K\x01" + sizes + b"\x86" + dtype + b"\x89" + data + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}q\x01(" + text(b"data") + blank + state + text(b"labels") + numbers + b"u."


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_dictionary_of_arrays_and_lists_is_read_as_python_wrote_it(protocol):
    found = read_pickle(pickle.dumps(BATCH, protocol), "batch")
    assert np.array_equal(found.pop("data"), ARRAY)
    assert found == {key: value for key, value in BATCH.items() if key != "data"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["?", "u1", "i2", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_keep_their_type_and_order(protocol, kind, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=kind, order=order)
    found = read_pickle(pickle.dumps({"a": array}, protocol), "batch")["a"]
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_without_numbers_keep_their_shape(protocol):
    found = read_pickle(pickle.dumps({"a": np.zeros((0, 3), np.float32), "b": b""}, protocol), "batch")
    assert (found["a"].shape, found["a"].dtype, found["b"]) == ((0, 3), np.float32, b"")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", [np.float64(1.5), np.uint8(200), np.bool_(True), np.int64(-7)])
def test_single_numbers_of_numpy_keep_their_type(protocol, value):
    found = read_pickle(pickle.dumps({"a": value}, protocol), "batch")["a"]
    assert type(found) is type(value)
    assert found == value


def test_a_batch_of_python_2_is_read_with_its_keys_as_text():
    found = read_pickle(python2_batch(ARRAY, [3, 1, 4, 1]), "batch")
    assert np.array_equal(found["data"], ARRAY)
    assert found["labels"] == [3, 1, 4, 1]


def test_python_itself_agrees_on_the_batch_of_python_2():
    found = pickle.loads(python2_batch(ARRAY, [3, 1, 4, 1]), encoding="bytes")
    assert np.array_equal(found[b"data"], ARRAY)


def test_an_array_that_occurs_twice_is_read_twice():
    found = read_pickle(pickle.dumps({"a": ARRAY, "b": ARRAY}), "batch")
    assert np.array_equal(found["b"], ARRAY)


class Hostile:
    """Calls a function when Python unpickles it."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), "posix.system"),
        (eval, ("open('{}', 'w')",), "eval"),
        (np.load, ("{}",), "numpy.load"),
        (zlib.decompress, (b"",), "zlib.decompress"),
    ],
    ids=["system", "eval", "numpy", "zlib"],
)
def test_a_pickle_that_names_a_function_is_refused_and_not_executed(tmp_path, protocol, function, arguments, name):
    mark = tmp_path / "mark"
    filled = [argument.format(mark) if isinstance(argument, str) else argument for argument in arguments]
    content = pickle.dumps({"data": Hostile(function, *filled)}, protocol)
    with pytest.raises(InputError, match=rf"the batch is no plain data: it would call \S*{name}"):
        read_pickle(content, "the batch")
    assert not mark.exists()


class Plain:
    """An object of a class."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"(S'touch x'\nios\nsystem\n.", "has the instruction STRING"),
        (b"\x80\x02(ios\nsystem\n.", "has the instruction INST"),
        (b"Pabc\n.", "has the instruction PERSID"),
        (b"\x80\x02\x82\x01.", "has the instruction EXT1"),
        (b"\x80\x02}cnumpy\nndarray\n)\x81.", "has the instruction NEWOBJ"),
        (b"\x80\x05\x97.", "has the instruction NEXT_BUFFER"),
        (pickle.dumps({"data": Plain()}), "it would call .*Plain"),
        (pickle.dumps({"data": {1, 2}}, 4), "has the instruction EMPTY_SET"),
    ],
)
def test_an_instruction_that_no_data_set_needs_is_named(content, words):
    with pytest.raises(InputError, match=f"batch is no plain data: .*{words}"):
        read_pickle(content, "batch")


NUMBERS = pickle.dumps({"data": ARRAY, "labels": [1, 2, 3]}, 2)


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_cut_anywhere_is_damaged(protocol):
    whole = pickle.dumps({"data": ARRAY, "labels": [1, 2, 3]}, protocol)
    for length in range(len(whole)):
        with pytest.raises(InputError, match="damaged"):
            read_pickle(whole[:length], "batch")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_with_any_byte_changed_is_read_or_refused(protocol):
    random = np.random.default_rng(0)
    whole = pickle.dumps({"data": ARRAY, "labels": [1, 2, 3]}, protocol)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= int(random.integers(1, 256))
        try:
            found = read_pickle(bytes(changed), "batch")
        except InputError:
            continue
        assert isinstance(found, dict)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>not found</html>", "is damaged"),
        (b"", "is damaged"),
        (pickle.dumps([1, 2]), "holds no dictionary, but list"),
        (pickle.dumps({"a": np.array([object()])}), "no plain data|an array of O8, not of numbers"),
        (pickle.dumps({"a": np.array(["text"])}), "an array of U4, not of numbers"),
        (pickle.dumps({"a": np.arange(3, dtype=">i4")}), "another byte order"),
        (b"\x80\x02}(U\x01a)ub.", "is damaged"),
        (b"\x80\x02K\x01)R.", "a call of something that is no function"),
        (b"\x80\x02}})s.", "is damaged"),
        (b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.", "is damaged"),
        (pickle.dumps({"a": np.float64(1)}).replace(b"C\x08", b"C\x07").replace(b"\x00\xf0", b"\xf0"), "is damaged"),
        (b"\x80\x02}]K\x01s.", "a key that is a list"),
        (b"\x80\x02]K\x01e.", "is damaged"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "an array without a shape"),
        (NUMBERS.replace(b"K\x04K\x06", b"K\x04K\x07"), r"an array of \(4, 7\) numbers in 24 bytes"),
    ],
)
def test_what_is_wrong_with_a_pickle_is_said(content, words):
    with pytest.raises(InputError, match=f"batch .*({words})"):
        read_pickle(content, "batch")


def test_a_file_is_read_in_place(tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(BATCH, 4))
    found = read_pickle_file(path)
    assert np.array_equal(found["data"], ARRAY)


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"\x80\x04", "is damaged")])
def test_a_bad_file_is_named(tmp_path, content, words):
    path = tmp_path / "batch"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path} {words}"):
        read_pickle_file(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="none cannot be read: No such file"):
        read_pickle_file(tmp_path / "none")
