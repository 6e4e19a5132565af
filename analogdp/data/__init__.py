"""Data sets: what they are, and the ones that a scenario can name."""

from analogdp.data import cifar, cifar_jpeg, csv_table, digits, folder, housing, idx, imagenet32, npz, ones, wine
from analogdp.data.base import Dataset
from analogdp.data.loading import load
from analogdp.data.samples import Samples

__all__ = [
    "Dataset",
    "Samples",
    "cifar",
    "cifar_jpeg",
    "csv_table",
    "digits",
    "folder",
    "housing",
    "idx",
    "imagenet32",
    "load",
    "npz",
    "ones",
    "wine",
]
