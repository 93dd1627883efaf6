"""Work on many processes and machines: executors of every kind, and numbered tasks that are run by them."""
