"""Data in: folders, tables, idx files, the embedded images; what is in them, and what leaks."""

from audit.data.csv_table import numbered_labels
from audit.data.dataset import Dataset, Split
from audit.data.decode import decode, resize
from audit.data.duplicates import DataFacts, data_facts
from audit.data.embedded import load_embedded, write_embedded_folder
from audit.data.load import FOLDERS, TABLE, load_dataset, timm_class_order
from audit.data.splits import heldout_indices, subset

__all__ = [
    "FOLDERS",
    "TABLE",
    "DataFacts",
    "Dataset",
    "Split",
    "data_facts",
    "decode",
    "heldout_indices",
    "load_dataset",
    "load_embedded",
    "numbered_labels",
    "resize",
    "subset",
    "timm_class_order",
    "write_embedded_folder",
]
