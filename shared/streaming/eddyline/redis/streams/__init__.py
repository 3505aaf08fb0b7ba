"""The store of streams in Redis: any number of processes, each write one script."""
