"""Loggers, which take a run's records elsewhere: a module each."""
