"""Data in: folders, tables, idx files, the embedded images; what is in them, and what leaks."""

from audit.data.dataset import Dataset, Split
from audit.data.decode import decode
from audit.data.duplicates import DuplicateFacts, data_facts
from audit.data.embedded import load_embedded, write_embedded_folder
from audit.data.load import load_dataset
from audit.data.splits import heldout_indices, subset

__all__ = [
    "Dataset",
    "DuplicateFacts",
    "Split",
    "data_facts",
    "decode",
    "heldout_indices",
    "load_dataset",
    "load_embedded",
    "subset",
    "write_embedded_folder",
]
