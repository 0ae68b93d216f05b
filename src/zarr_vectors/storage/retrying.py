"""Trying again where obstore does not do so itself.

obstore repeats requests that were answered by a server error (5xx), by "too many requests" (429) or not at all, and
reads whose body broke off. It does not repeat a listing, deletion or copy whose answer broke off, nor a read whose
answer broke off that nothing is there, nor a request that is not known to be safe to repeat and timed out. All requests
of a storage are safe to repeat, since objects are only ever replaced as a whole; the conditional write is made so by
comparing what is there with what was to be written.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from obstore.exceptions import BaseError

_BROKEN_OFF = re.compile(r"HTTP error|body error|error sending request|[Cc]onnection (?:reset|closed)|timed out")
_REQUEST = "Error performing"
"""Is in what obstore says of a request that failed, not in what it says of a body that broke off once too often."""
_REPEATED = re.compile(r"after (\d+) retries")

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a request is repeated, with pauses that grow.

    Attributes
    ----------
    max_retries : int
        Largest number of repetitions.
    seconds : float
        Nothing is repeated later than this after the first attempt.
    first_pause, longest_pause, growth : float
        Seconds before the first repetition and before any, and the factor from one to the next.
    """

    max_retries: int = 10
    seconds: float = 180.0
    first_pause: float = 0.1
    longest_pause: float = 15.0
    growth: float = 2.0

    @classmethod
    def of(cls, store: Any) -> Patience:
        """Return what the ``retry_config`` of an obstore store says; obstore's defaults otherwise."""
        config: Mapping[str, Any] = getattr(store, "retry_config", None) or {}
        backoff = config.get("backoff") or {}
        own = cls()
        return cls(
            int(config.get("max_retries", own.max_retries)),
            _seconds(config.get("retry_timeout"), own.seconds),
            _seconds(backoff.get("init_backoff"), own.first_pause),
            _seconds(backoff.get("max_backoff"), own.longest_pause),
            float(backoff.get("base", own.growth)),
        )

    def pause(self, attempt: int) -> float:
        """Return how long to wait after an attempt, counted from 1; a random half of it spreads out crowds."""
        longest = min(self.longest_pause, self.first_pause * self.growth ** (attempt - 1))
        return longest * random.uniform(0.5, 1.0)


def _seconds(value: timedelta | None, otherwise: float) -> float:
    return otherwise if value is None else value.total_seconds()


class GivenUpError(Exception):
    """A request failed for good.

    Parameters
    ----------
    error : Exception
        The last failure.
    attempts : int
        How often it was made.
    """

    def __init__(self, error: Exception, attempts: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.attempts = attempts


def persist(ask: Callable[[], _Answer], patience: Patience, *, reads: bool) -> _Answer:
    """Make a request until it is answered.

    Parameters
    ----------
    ask : callable
        Makes the request.
    patience : Patience
        How often to repeat it.
    reads : bool
        Whether it reads an object, whose body obstore asks for again by itself.

    Raises
    ------
    GivenUpError
        With the last failure and the number of attempts.
    FileNotFoundError
        Nothing is there, which is an answer.
    """
    begun, attempts = time.monotonic(), 0
    while True:
        try:
            return ask()
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            repeated = _REPEATED.search(str(error))
            attempts += 1 + (int(repeated[1]) if repeated else 0)
            broken = type(error).__name__ == "GenericError" and _BROKEN_OFF.search(str(error)) is not None
            if broken and reads and _REQUEST not in str(error):
                raise GivenUpError(error, max(attempts, patience.max_retries + 1)) from None
            late = time.monotonic() - begun > patience.seconds
            if not broken or late or attempts > patience.max_retries:
                raise GivenUpError(error, attempts) from None
            time.sleep(patience.pause(attempts))
