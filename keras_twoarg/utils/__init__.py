"""What every part may use, and nothing of this package's own subject."""
