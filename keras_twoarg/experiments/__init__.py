"""The paper's experiments and those beyond it."""
