"""A run put to use: fitted to a table in memory, applied to new rows, looked into, compared."""
