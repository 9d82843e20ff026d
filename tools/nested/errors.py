"""The one failure the lab reports to people."""


class LabError(Exception):
    """A failure with a code for programs and a sentence for people.

    ``exit_status`` is 2 for bad input and refusals, 1 for something that broke while it was being done.
    """

    def __init__(self, code: str, sentence: str, exit_status: int = 1) -> None:
        """Keep the parts; ``str()`` is ``code: sentence``."""
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.exit_status = exit_status


def bad_input(code: str, sentence: str) -> LabError:
    """Return an error the caller can mend by asking for something else."""
    return LabError(code, sentence, exit_status=2)
