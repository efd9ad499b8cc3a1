"""The interactive page of `twoarg play`: a trained network, its phi and held-out images, offline."""
