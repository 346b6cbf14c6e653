"""The one error that is for the user."""


class AuditError(Exception):
    """The audit cannot go on, and the user can fix why. Printed without a traceback, exit code 2.

    Args:
        reason: Stable code ("MODEL_UNSAFE", "DATA_ONE_CLASS"), the first word of the message.
        message: One sentence: who needs what, what was given, what to change.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(f"{reason}: {message}")
        self.reason, self.message = reason, message

    def __reduce__(self) -> tuple[type["AuditError"], tuple[str, str]]:
        """How it is taken from one process to another."""
        return AuditError, (self.reason, self.message)
