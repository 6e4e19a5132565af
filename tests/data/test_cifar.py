"""CIFAR-10 and CIFAR-100, from small archives of every version."""

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
import torch

from analogdp import data
from analogdp.data import archives, download
from analogdp.data.cifar import Cifar10Settings, Cifar100Settings
from analogdp.errors import InputError

KINDS = {"cifar10": Cifar10Settings, "cifar100": Cifar100Settings}
TRAIN, TEST = 20, 6
SIZES = {"cifar10": (10,), "cifar100": (20, 100)}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Data sets of a few samples."""
    for settings in KINDS.values():
        monkeypatch.setattr(settings, "train_samples", TRAIN)
        monkeypatch.setattr(settings, "test_samples", TEST)


def arrays(name):
    """Training and test samples: images, and a column for each kind of labels."""
    random = np.random.default_rng(0)
    return [
        (
            random.integers(0, 256, (count, 3072), dtype=np.uint8),
            np.stack([random.integers(0, size, count) for size in SIZES[name]], axis=1),
        )
        for count in (TRAIN, TEST)
    ]


def batches(settings, part, names):
    images, labels = part
    shares = np.split(images, len(names)), np.split(labels, len(names))
    return zip(names, *shares, strict=True)


def pickled(settings, images, labels):
    kinds = {kind: column.tolist() for kind, column in zip(settings.labels, labels.T, strict=True)}
    return pickle.dumps({"data": images, **kinds, "filenames": ["x.png"] * len(images)}, 2)


def records(settings, images, labels):
    return np.concatenate((labels.astype(np.uint8), images), axis=1).tobytes()


def contents(name, version):
    """The files of a version, by name."""
    settings, (train, test) = KINDS[name], arrays(name)
    write = records if version.train[0].endswith(".bin") else pickled
    return {
        file: write(settings, images, labels)
        for part, names in ((train, version.train), (test, version.test))
        for file, images, labels in batches(settings, part, names)
    }


def pack(path, files):
    """A tar archive of some members, packed by gzip."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def provide(directory, name, version, how, **changed):
    """Put a version into a folder: packed, unpacked, or unpacked right there."""
    files = contents(name, version) | changed
    if how == "packed":
        return pack(directory / version.archive, {f"{version.folder}/{file}": files[file] for file in sorted(files)})
    place = directory / version.folder if how == "unpacked" else directory
    place.mkdir(exist_ok=True)
    for file, content in files.items():
        (place / file).write_bytes(content)
    return place


VERSIONS = [
    pytest.param(name, version, id=version.folder) for name, settings in KINDS.items() for version in settings.versions
]
TEN = Cifar10Settings.versions
BINARY, PYTHON = TEN


@pytest.mark.parametrize(("name", "version"), VERSIONS)
@pytest.mark.parametrize("how", ["packed", "unpacked", "bare"])
def test_every_version_gives_the_published_samples_in_their_order(tmp_path, name, version, how):
    provide(tmp_path, name, version, how)
    loaded = data.load(KINDS[name](directory=tmp_path), seed=0)
    (train, train_labels), (test, test_labels) = arrays(name)
    assert torch.equal(loaded.train_inputs[:], torch.from_numpy(train) / 255)
    assert torch.equal(loaded.test_inputs[:], torch.from_numpy(test) / 255)
    assert loaded.train_labels.tolist() == train_labels[:, -1].tolist()
    assert loaded.test_labels.tolist() == test_labels[:, -1].tolist()


@pytest.mark.parametrize("version", Cifar100Settings.versions, ids=["binary", "python"])
def test_the_groups_of_cifar100_can_be_learned_instead(tmp_path, version):
    provide(tmp_path, "cifar100", version, "unpacked")
    settings = Cifar100Settings(directory=tmp_path, coarse=True)
    loaded = data.load(settings, seed=0)
    assert loaded.train_labels.tolist() == arrays("cifar100")[0][1][:, 0].tolist()
    assert settings.sizes() == (3072, 20)
    assert len(loaded.classes) == 20


def test_the_sections_know_what_the_data_are():
    assert Cifar10Settings().sizes() == (3072, 10)
    assert Cifar100Settings().sizes() == (3072, 100)
    assert Cifar10Settings().shape() == (3, 32, 32)
    assert Cifar10Settings().samples() == (TRAIN, TEST)


def test_no_class_of_cifar100_is_named_twice():
    classes, groups = Cifar100Settings().classes, Cifar100Settings(coarse=True).classes
    assert (len(set(classes)), len(set(groups))) == (100, 20)
    assert list(classes) == sorted(classes)
    assert list(groups) == sorted(groups)


def test_samples_are_kept_as_bytes(tmp_path):
    provide(tmp_path, "cifar10", BINARY, "unpacked")
    assert data.load(Cifar10Settings(directory=tmp_path), seed=0).train_inputs.raw.dtype == torch.uint8


def test_what_is_missing_and_how_to_get_it_is_said(tmp_path):
    with pytest.raises(InputError) as caught:
        data.load(Cifar10Settings(directory=tmp_path), seed=0)
    for word in ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", str(tmp_path), "--data-dir", "data.directory"):
        assert word in str(caught.value)
    assert "set data.download: true" in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    (provide(tmp_path, "cifar10", BINARY, "unpacked") / "data_batch_3.bin").unlink()
    with pytest.raises(InputError, match=r"data_batch_3.bin cannot be read: No such file"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


def test_an_archive_without_a_file_is_named(tmp_path):
    files = contents("cifar10", BINARY)
    del files["test_batch.bin"]
    path = pack(tmp_path / BINARY.archive, {f"{BINARY.folder}/{name}": content for name, content in files.items()})
    with pytest.raises(InputError, match=f"{path} has no cifar-10-batches-bin/test_batch.bin"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


@pytest.mark.parametrize("spoil", [lambda content: content[: len(content) // 2], lambda content: b"<html>no</html>"])
def test_a_damaged_archive_is_named(tmp_path, spoil):
    path = provide(tmp_path, "cifar10", BINARY, "packed")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=f"{path} is damaged .*; get it again"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


def test_an_archive_with_a_flipped_bit_is_named(tmp_path):
    path = provide(tmp_path, "cifar10", BINARY, "packed")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}.* damaged .*; get it again"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


def test_an_archive_that_unpacks_to_more_than_any_data_set_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 100_000)
    provide(tmp_path, "cifar10", BINARY, "packed")
    pack(tmp_path / BINARY.archive, {"zeros": bytes(200_000)})
    with pytest.raises(InputError, match="unpacks to more than 100,000 bytes"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


def test_members_with_paths_that_lead_elsewhere_are_never_written(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    files = {f"{BINARY.folder}/{name}": content for name, content in contents("cifar10", BINARY).items()}
    pack(folder / BINARY.archive, {"../escaped": b"x", "/tmp/data_images_escaped": b"x", **files})
    before = sorted(tmp_path.rglob("*"))
    assert len(data.load(Cifar10Settings(directory=folder), seed=0).train_labels) == TRAIN
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_does_not_stand_for_a_batch(tmp_path):
    with tarfile.open(tmp_path / BINARY.archive, "w:gz") as archive:
        link = tarfile.TarInfo(f"{BINARY.folder}/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InputError, match=f"has no {BINARY.folder}/"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


def batch(images=None, **labels):
    images = np.zeros((4, 3072), np.uint8) if images is None else images
    return pickle.dumps({"data": images, **(labels or {"labels": [0, 1, 2, 3]})}, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (batch(labels=[0, 1, 2, 10]), "has the label 10; expected 0 to 9"),
        (batch(labels=[0, 1, 2, -1]), "has the label -1; expected 0 to 9"),
        (batch(labels=[0, 1, 2]), "no whole number as a label for each of its 4 pictures"),
        (batch(labels=[0, 1, 2, 1.5]), "no whole number as a label"),
        (batch(labels=[0, 1, 2, [3]]), "no whole number as a label"),
        (batch(labels=[0, 1, 2, 10**30]), "no whole number as a label"),
        (batch(fine_labels=[0, 1, 2, 3]), "no whole number as a label"),
        (batch(np.zeros((4, 3071), np.uint8)), r"the pictures are uint8 \(4, 3071\); expected uint8 \(samples, 3072\)"),
        (batch(np.zeros((4, 3072), np.float32)), "the pictures are float32"),
        (batch([1, 2]), "the pictures are list"),
        (batch(np.zeros((3, 3072), np.uint8), labels=[0, 1, 2]), "has 3 pictures; expected 4"),
        (batch()[:-400], "is damaged"),
    ],
)
def test_a_pickled_batch_that_is_not_what_it_should_be_is_named(tmp_path, content, words):
    provide(tmp_path, "cifar10", PYTHON, "unpacked", data_batch_2=content)
    with pytest.raises(InputError, match=f"cifar-10-batches-py/data_batch_2[: ].*{words}"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bytes(4 * 3073 - 1), r"12,291 bytes are no records of 3073"),
        (bytes(3 * 3073), "has 3 pictures; expected 4"),
        (b"", "has 0 pictures; expected 4"),
        (b"\x0a" + bytes(4 * 3073 - 1), "has the label 10; expected 0 to 9"),
    ],
)
def test_records_that_are_not_what_they_should_be_are_named(tmp_path, content, words):
    provide(tmp_path, "cifar10", BINARY, "unpacked", **{"data_batch_2.bin": content})
    with pytest.raises(InputError, match=f"data_batch_2.bin .*{words}"):
        data.load(Cifar10Settings(directory=tmp_path), seed=0)


def test_both_versions_agree_when_packed_by_gzip_of_any_level(tmp_path):
    path = provide(tmp_path, "cifar10", PYTHON, "packed")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    assert len(data.load(Cifar10Settings(directory=tmp_path), seed=0).test_labels) == TEST


def test_the_binary_version_is_what_is_downloaded(tmp_path, monkeypatch):
    def fetch(name, md5, addresses, directory):
        assert (name, md5) == (BINARY.archive, "c32a1d4ab5d03f1284b67883e8d87530")
        assert "toronto" in addresses[0]
        provide(directory, "cifar10", BINARY, "packed")
        return directory / name

    monkeypatch.setattr(download, "fetch", fetch)
    assert len(data.load(Cifar10Settings(directory=tmp_path, download=True), seed=0).train_labels) == TRAIN
