"""`python -m keras_twoarg` is the command `twoarg`."""

from keras_twoarg.cli import twoarg

if __name__ == "__main__":
    twoarg(prog_name="twoarg")
