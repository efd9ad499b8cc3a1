"""Pack the trials of searches into one file to commit.

    twoarg tune --seed 100 ... --out searches/100      # and 101, 102
    python tuning/pack.py searches/100 searches/101 searches/102 --out tuning/mnist-planned/trials.jsonl

A line for each trial of each arm, with `search`, the search's seed. `twoarg pack` does the same for runs.
"""

import argparse
from pathlib import Path

from keras_twoarg.utils import files


def trials_of(search):
    """Return the trials of all arms of a search, the output folder of `twoarg tune`."""
    seed = files.read_json(search / "search.json")["seed"]
    return [
        {"search": seed, "arm": arm.parent.name, **trial}
        for arm in sorted(search.glob("*/trials.json"))
        for trial in sorted(files.read_json(arm), key=lambda trial: trial["trial"])
    ]


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("searches", nargs="+", type=Path, help="output folders of `twoarg tune`")
    parser.add_argument("--out", required=True, type=Path, help="the file to write")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} already exists. Remove it, or use another name")
    if missing := [str(search) for search in options.searches if not (search / "search.json").is_file()]:
        parser.error(f"Expected output folders of `twoarg tune`, with a search.json. Received: {', '.join(missing)}")
    trials = [trial for search in options.searches for trial in trials_of(search)]
    files.write_json_lines(options.out, trials)
    print(f"{len(trials)} trials in {options.out}")


if __name__ == "__main__":
    main()
