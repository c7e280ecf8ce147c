"""Many runs as one: a sweep's space, its identity on disk, its resuming and its launching."""
