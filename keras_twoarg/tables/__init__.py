"""What finished runs say, as tables for the terminal and the report."""
