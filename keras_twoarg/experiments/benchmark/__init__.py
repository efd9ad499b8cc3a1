"""What two arguments cost: everything side by side in one run, for `twoarg bench`."""
