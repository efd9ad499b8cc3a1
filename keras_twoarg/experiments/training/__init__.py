"""Data, the stages of a run, and one record for each."""
