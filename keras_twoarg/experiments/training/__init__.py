"""Data, Sessions II and III, and one record for each run."""
