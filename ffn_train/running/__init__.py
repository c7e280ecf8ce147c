"""One run from start to end."""

from collections.abc import Callable

Notify = Callable[[str], None]  # shows the user a line
