"""One run from start to end."""

from collections.abc import Callable

Notify = Callable[[str], None]  # takes what a person should know, a line at a time
