"""Who gets a connection, how it comes back, and the tasks of the pool's own."""
