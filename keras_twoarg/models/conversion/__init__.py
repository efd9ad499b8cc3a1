"""How `convert` works: find the activations, fit phi, rebuild the graph, match widths, report."""
