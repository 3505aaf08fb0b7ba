"""`eddyline doctor`: finds the faults on the way to a suite, each with its fix."""
