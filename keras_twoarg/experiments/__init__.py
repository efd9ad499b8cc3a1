"""The paper's experiments, and experiments beyond the paper."""
