"""Doors to other programs: other training loops as runs, and runs in other programs' formats."""
