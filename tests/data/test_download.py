"""Downloads, from a server on this machine."""

import gzip
import hashlib
import struct
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from analogdp import data
from analogdp.data.cifar import Cifar10Settings, Cifar100Settings
from analogdp.data.download import fetch
from analogdp.data.idx import FashionMnistSettings, MnistSettings
from analogdp.errors import InputError
from analogdp.scenario import Scenario


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The address of a server, and the folder that it serves."""
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as running:
        thread = Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", folder
        running.shutdown()
        thread.join()


def md5(content):
    return hashlib.md5(content).hexdigest()


def idx(*shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    return gzip.compress(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + array.tobytes())


@pytest.fixture
def mnist(server, monkeypatch):
    """The address of a server of small MNIST files, which the section believes in."""
    address, folder = server
    files = {
        "train-images-idx3-ubyte.gz": idx(4, 28, 28),
        "train-labels-idx1-ubyte.gz": idx(4),
        "t10k-images-idx3-ubyte.gz": idx(2, 28, 28),
        "t10k-labels-idx1-ubyte.gz": idx(2),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(MnistSettings, "addresses", (address,))
    monkeypatch.setattr(MnistSettings, "checksums", {name: md5(content) for name, content in files.items()})
    return folder


def test_a_file_with_the_right_checksum_is_kept(server, tmp_path):
    address, folder = server
    (folder / "a").write_bytes(b"content")
    path = fetch("a", md5(b"content"), (address,), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "a"
    assert path.read_bytes() == b"content"


def test_a_file_with_another_checksum_is_not_kept(server, tmp_path):
    address, folder = server
    (folder / "a").write_bytes(b"something else")
    with pytest.raises(InputError, match=rf"a could not be downloaded(.|\n)*{address}a: .*does not match"):
        fetch("a", md5(b"content"), (address,), tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_mirror_is_asked_where_the_first_address_has_nothing(server, tmp_path):
    address, folder = server
    (folder / "a").write_bytes(b"content")
    assert fetch("a", md5(b"content"), (f"{address}gone/", address), tmp_path).read_bytes() == b"content"


def test_what_went_wrong_is_said_for_every_address(server, tmp_path):
    address, _ = server
    with pytest.raises(InputError) as caught:
        fetch("a", md5(b""), (f"{address}one/", "http://127.0.0.1:9/two/"), tmp_path)
    assert f"{address}one/a: 404" in str(caught.value)
    assert "http://127.0.0.1:9/two/a: " in str(caught.value)
    assert f"put it into {tmp_path}" in str(caught.value)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"a cannot be kept in .*file.*set data.directory to a folder that you may write to"
    ):
        fetch("a", md5(b""), ("http://127.0.0.1:9/",), tmp_path / "file")


def test_files_that_are_missing_are_downloaded_when_the_scenario_says_so(mnist, tmp_path):
    loaded = data.load(MnistSettings(directory=tmp_path / "here", download=True), seed=0)
    assert (len(loaded.train_inputs), len(loaded.test_inputs)) == (4, 2)
    assert len(list((tmp_path / "here").iterdir())) == 4


def test_nothing_is_downloaded_unless_the_scenario_says_so(mnist, tmp_path):
    with pytest.raises(InputError, match=r"there is no train-images.*or set data.download: true to get them from http"):
        data.load(MnistSettings(directory=tmp_path), seed=0)


def test_what_is_there_is_not_downloaded_again(mnist, tmp_path):
    data.load(MnistSettings(directory=tmp_path / "here", download=True), seed=0)
    for path in mnist.iterdir():
        path.unlink()
    assert len(data.load(MnistSettings(directory=tmp_path / "here", download=True), seed=0).test_inputs) == 2


def test_downloads_go_to_the_cache_where_no_folder_is_named(mnist, tmp_path, monkeypatch):
    monkeypatch.delenv("ANALOGDP_DATA", raising=False)
    monkeypatch.setenv("ANALOGDP_CACHE", str(tmp_path / "cache"))
    scenario = Scenario(data={"name": "mnist", "download": True}, network={"layers": (784, 10)})
    assert scenario.data.directory == tmp_path / "cache" / "mnist"
    assert len(data.load(scenario.data, seed=0).train_inputs) == 4
    assert len(list((tmp_path / "cache" / "mnist").iterdir())) == 4


@pytest.mark.parametrize("settings", [MnistSettings, FashionMnistSettings, Cifar10Settings, Cifar100Settings])
def test_every_published_file_has_a_checksum_and_an_address(settings):
    assert all(len(bytes.fromhex(checksum)) == 16 for checksum in settings.checksums.values())
    assert all(address.endswith("/") for address in settings.addresses)
    versions = getattr(settings, "versions", ())
    assert {version.archive for version in versions} == (set(settings.checksums) if versions else set())
