"""The one error that is for the user."""


class AuditError(Exception):
    """The audit cannot go on, and the user can fix why. Printed without a traceback, exit code 2.

    Nobody takes the message apart: who needs a part of it reads the field.

    Attributes:
        reason: Stable code ("MODEL_UNSAFE", "DATA_ONE_CLASS"), the first word of what is printed.
        sentence: What is wrong: who needs what, and what was given.
        remedy: What to do; empty where the sentence says it.
    """

    def __init__(self, reason: str, sentence: str, remedy: str = ""):
        self.reason, self.sentence, self.remedy = reason, sentence, remedy
        super().__init__(f"{reason}: {self.message}")

    @property
    def message(self) -> str:
        """The sentence and the remedy."""
        return f"{self.sentence} {self.remedy}".rstrip()

    def about(self, what: str) -> "AuditError":
        """The same error, said of something: a file, a line, an option."""
        return AuditError(self.reason, f"{what}: {self.sentence}", self.remedy)

    def __reduce__(self) -> tuple[type["AuditError"], tuple[str, str, str]]:
        """Rebuild it in another process."""
        return AuditError, (self.reason, self.sentence, self.remedy)
