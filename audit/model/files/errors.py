"""What the readers of model files raise. Nothing here imports more than the standard library."""

SAVE_AGAIN = "Save `model.state_dict()` with torch.save or safetensors instead"
COPY_AGAIN = "Copy or download it again, and compare checksums"


class CheckpointError(Exception):
    """A model file that cannot be read, or must not be.

    Args:
        reason: Code of the audit's error ("MODEL_UNSAFE").
        what: What is wrong, to follow the file's name; {} stands for the culprit.
        remedy: What to do, without a full stop.
        culprit: A name from the file, as it stands there: not safe to show.
    """

    def __init__(self, reason: str, what: str, remedy: str, culprit: str = ""):
        super().__init__(reason, what, remedy, culprit)
        self.reason = reason
        self.what = what
        self.remedy = remedy
        self.culprit = culprit


def unreadable(what: str, remedy: str) -> CheckpointError:
    """No checkpoint, as far as one can tell."""
    return CheckpointError("MODEL_UNREADABLE", what, remedy)


def unsafe(what: str, culprit: str = "") -> CheckpointError:
    """Would run code in a careless reader, or be read differently by two readers."""
    return CheckpointError("MODEL_UNSAFE", f"{what}; nothing of it was run", SAVE_AGAIN, culprit)


def corrupt(what: str, culprit: str = "") -> CheckpointError:
    """Contradicts itself."""
    return CheckpointError("MODEL_CORRUPT", f"is damaged: {what}", COPY_AGAIN, culprit)


def unsupported(what: str, culprit: str = "") -> CheckpointError:
    """Holds weights of a kind that no audit takes."""
    return CheckpointError("MODEL_DTYPE", what, "Save the model before quantising it", culprit)
