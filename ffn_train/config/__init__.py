"""From the command line to checked values and choices; imports nothing else of the package."""
