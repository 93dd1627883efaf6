"""Reading saved fits and runs that were stored on disk."""
