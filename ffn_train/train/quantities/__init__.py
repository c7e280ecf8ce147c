"""What is measured at a training step, one quantity per file; a new one is a new file."""
