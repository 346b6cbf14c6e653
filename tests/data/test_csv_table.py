"""A CSV of paths and labels stands for a folder; what is wrong in it is named with its line."""

from pathlib import Path

import pytest

from audit.core.errors import AuditError
from audit.data.class_order import in_order
from audit.data.load import load_dataset
from audit.inputs.classes import output_classes
from tests.samples.images import cats_and_dogs

HEAD = "path,label,split\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cats_and_dogs(tmp_path / "data")


def lines(folder: Path, split: str) -> list[str]:
    files = sorted((folder / split).rglob("*.png"))
    return [f"{f.relative_to(folder)},{f.parent.name},{split}" for f in files]


def table(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "images.csv"
    path.write_text(head + "\n".join(rows))
    return path


def refused(path: Path) -> AuditError:
    with pytest.raises(AuditError) as caught:
        load_dataset(path)
    return caught.value


def test_a_table_is_the_folder_that_it_lists(folder):
    whole = table(folder, *lines(folder, "val"), *lines(folder, "train"))
    data, same = load_dataset(whole), load_dataset(folder)

    assert (data.classes, data.digest) == (same.classes, same.digest)
    assert (data.source, len(data.train), len(data.eval)) == ("CSV of paths and labels", 52, 52)
    assert data.eval.paths[0].startswith("val/cat/")
    assert load_dataset(whole, training=False).train is None


def test_of_two_evaluation_splits_the_first_counts_as_among_folders(folder):
    (folder / "val").rename(folder / "test")
    extra = [line.replace(",test", ",val") for line in lines(folder, "test")[:-1]]
    both = [*lines(folder, "test"), *extra, *lines(folder, "train")]
    assert len(load_dataset(table(folder, *both)).eval) == 51
    assert len(load_dataset(table(folder, *lines(folder, "test"))).eval) == 52


def test_splits_may_have_a_table_each_and_other_columns(folder):
    rows = [f'"{line.split(",")[0]}", x ,{line.split(",")[1]}' for line in lines(folder, "val")]
    path = table(folder, *rows, head="Path, note, LABEL\n")

    data = load_dataset(None, train=folder / "train", evaluation=path)

    assert data.digest == load_dataset(folder).digest


def test_numbers_are_the_order_of_the_outputs_and_other_mixtures_are_asked_for(folder, model):
    names = [str(n) for n in range(11)]
    assert in_order(sorted(names)) == tuple(names)
    assert in_order(["b10", "b9", "a"]) == ("a", "b10", "b9")
    rows = [line.replace(",cat", ",9").replace(",dog", ",10")
            for split in ("train", "val") for line in lines(folder, split)]  # fmt: skip
    subject = type("Subject", (), {"class_names": None, "natural_order": True})()
    data = load_dataset(table(folder, *rows))

    assert output_classes(None, subject, data) == ("9", "10")
    rows = [row.replace(",9", ",c9").replace(",10", ",c10") for row in rows]
    data = load_dataset(table(folder, *rows))
    with pytest.raises(AuditError, match="these labels sort differently"):
        output_classes(None, subject, data)


@pytest.mark.parametrize(("row", "reason", "words"), [
    ("val/cat/0.png,cat", "DATA_TABLE", "line 54, has 2 cells, where the header has 3"),
    ("val/cat/0.png,,val", "DATA_TABLE", "line 54, has an empty label"),
    ("val/cat/0.png,cat,val", "DATA_TABLE", "line 54, names the image of line 2 again"),
    ("./val//cat/0.png,dog,val", "DATA_TABLE", "names the image of line 2 again"),
    ("../secret.png,cat,val", "DATA_LINK_OUTSIDE", "line 54 leads out of it"),
    ("/etc/passwd,cat,val", "DATA_LINK_OUTSIDE", "line 54 leads out of it"),
    ("out/secret.png,cat,val", "DATA_LINK_OUTSIDE", "line 54 leads out of it"),
    ('"val/cat', "DATA_TABLE", "is no CSV"),
    ("val/\0,cat,val", "DATA_TABLE", "line 54"),
    ("val/x.png,cat,vall", "DATA_TABLE", "line 54, has a split that is none of train, training,"),
    ("none.png,cat,val", "DATA_UNREADABLE", "none.png"),
    ("val,cat,val", "DATA_UNREADABLE", "is not a file"),
    ("val/x.png,emu,val", "DATA_CLASS_MISMATCH", "its label 'emu' is not among the labels"),
])  # fmt: skip
def test_what_is_wrong_in_a_table(row, reason, words, folder, tmp_path):
    whole = [*lines(folder, "val"), row, *lines(folder, "train")]
    (tmp_path / "secret.png").write_bytes((folder / "val/cat/0.png").read_bytes())
    (folder / "out").symlink_to(tmp_path)
    (folder / "val" / "x.png").write_bytes(b"")
    found = refused(table(folder, *whole))

    assert found.reason == reason
    assert words in str(found)


@pytest.mark.parametrize(("head", "reason", "words"), [
    ("path,label\n", "DATA_TABLE", "line 1, has no (or no single) column 'split'"),
    ("path,path,label,split\n", "DATA_TABLE", "column 'path'"),
    ("", "DATA_TABLE", "column 'path'"),
])  # fmt: skip
def test_what_is_wrong_with_a_header(head, reason, words, folder):
    found = refused(table(folder, head=head))
    assert (found.reason, words in str(found)) == (reason, True)


def test_a_table_that_is_not_there_or_says_nothing(folder):
    assert refused(folder / "none.csv").reason == "DATA_NOT_FOUND"
    assert refused(table(folder)).reason == "DATA_NO_IMAGES"
    assert "no line of" in str(refused(table(folder, *lines(folder, "train"))))
    (folder / "images.csv").write_bytes(b"path,label,split\n\xff\xfe,a,val\n")
    assert "is no UTF-8 text" in str(refused(folder / "images.csv"))


def test_what_cannot_be_read_may_be_allowed(folder):
    rows = [*lines(folder, "val"), "none.png,cat,val", *lines(folder, "train")]
    assert load_dataset(table(folder, *rows), max_bad_images=1).unreadable == 1
