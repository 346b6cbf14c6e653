"""A list of class names comes from outside, too."""

import os
from pathlib import Path

import pytest

from audit.loading import MOST_BYTES, read_class_map
from audit.record import AuditError


def test_one_name_a_line_whoever_wrote_it(tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffKatze\r\n\r\n  Hund \r\n".encode())

    assert read_class_map(tmp_path / "names.txt") == ("Katze", "Hund")


def large(path):
    path.write_bytes(b"a\n" + b"b" * MOST_BYTES)


def binary(path):
    path.write_bytes(b"\xff\xfe\0a")


def endless(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [large, binary, endless, os.mkfifo, Path.mkdir, Path.touch])
def test_what_is_no_list_of_names_is_refused_and_does_not_block(make, tmp_path):
    make(tmp_path / "names\x1b[31m.txt")

    with pytest.raises(AuditError, match="DATA_CLASS_MAP") as caught:
        read_class_map(tmp_path / "names\x1b[31m.txt")
    assert str(caught.value).isprintable()
