"""What is measured of a training step, one quantity a file; a new one is a new file."""
