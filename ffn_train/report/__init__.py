"""A run's summary and verdict as text."""
