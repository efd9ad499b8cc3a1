"""What one puts into a model."""
