"""A page on which a trained network, its phi and held-out images can be played with, offline: `twoarg play`."""
