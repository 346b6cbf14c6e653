"""The error for the user: three fields, one message, the same in every process."""

import ast
import pickle
from pathlib import Path

from audit.core.errors import AuditError
from tests.samples.audits import ROOT

ERROR = AuditError("DATA_X", "the audit needs a, but got b.", "Give a.")


def test_the_message_is_the_sentence_and_the_remedy():
    assert str(ERROR) == "DATA_X: the audit needs a, but got b. Give a."
    assert str(AuditError("DATA_X", "all is said.")) == "DATA_X: all is said."


def test_it_crosses_processes_whole():
    again = pickle.loads(pickle.dumps(ERROR))
    assert (again.reason, again.sentence, again.remedy) == ("DATA_X", ERROR.sentence, "Give a.")


def test_it_can_be_said_of_something():
    assert str(ERROR.about("line 4")) == "DATA_X: line 4: the audit needs a, but got b. Give a."


def test_nobody_takes_its_message_apart():
    taken = {"partition", "split", "removeprefix", "replace", "rpartition"}
    for file in Path(ROOT / "audit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in taken:
                assert ast.unparse(node.value) != "str(error)", file
