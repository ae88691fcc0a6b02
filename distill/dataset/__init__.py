"""From labelled chains to a clean, split training set, and to the formats of the field."""

from distill.dataset.build import BuiltDataset, build_dataset
from distill.dataset.save import save

__all__ = ["BuiltDataset", "build_dataset", "save"]
