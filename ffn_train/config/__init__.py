"""From the command line to checked settings and choices; imports no other part of the package."""
