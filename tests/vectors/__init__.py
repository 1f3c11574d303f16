"""Golden vectors that Python emits and other implementations replay; formats are in README.md."""
