"""One check a file: pure where it can be, and each bounded in time and size."""
