"""The errors of KARAIS, for every layer.

::

    KaraisError             everything that is expected to go wrong
    ├── Refused             the other side answered with a Failure (its code says which)
    ├── Unavailable         nobody is there to answer, or the bus is down
    └── TimedOut            somebody may be there, but no answer came in time

A handler raises one of these to answer with a typed failure; anything else
that it raises is a defect, logged once and sent as ``internal``.
"""

from __future__ import annotations

from schemas.failure import Code, Failure


class KaraisError(Exception):
    """Something expected went wrong; its text is one sentence for a person."""

    def __init__(self, message: str, *, code: Code = Code.INTERNAL, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field

    def failure(self) -> Failure:
        """Return the error as it crosses the wire."""
        return Failure(code=self.code, message=str(self), field=self.field)


class Refused(KaraisError):
    """The request was answered with a failure."""

    @classmethod
    def of(cls, failure: Failure) -> Refused:
        """Return the error for a failure that came over the wire."""
        return cls(failure.message, code=failure.code, field=failure.field)


class Unavailable(KaraisError):
    """What is needed cannot be reached."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=Code.UNAVAILABLE)


class TimedOut(KaraisError):
    """No answer came in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=Code.TIMEOUT)
