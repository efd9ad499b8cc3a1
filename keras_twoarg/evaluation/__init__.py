"""How phi is applied to millions of argument tuples, on each backend."""
