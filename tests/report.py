#!/usr/bin/env python3
"""Adds up what `meson test` left in the given build directories.

Prints the end of each failed test's log, and last, alone on its line,
`N passed, N failed[, N skipped]`.
Exits 1 if anything failed or nothing ran.
"""

import json
import pathlib
import sys

LOG_LINES = 40
GOOD = {"OK", "EXPECTEDFAIL"}


def results(build_dir):
    log = pathlib.Path(build_dir) / "meson-logs" / "testlog.json"
    if not log.exists():  # no test of this directory was in the chosen suites
        return []
    with log.open() as lines:
        return [json.loads(line) for line in lines if line.strip()]


def show_failure(build_dir, test):
    print(f"\n--- {build_dir}: {test['name']}: {test['result']} after {test['duration']:.1f} s")
    for stream in ("stdout", "stderr"):
        for line in (test.get(stream) or "").splitlines()[-LOG_LINES:]:
            print(f"    {line}")


def main(build_dirs):
    passed = failed = skipped = 0
    for build_dir in build_dirs:
        for test in results(build_dir):
            if test["result"] in GOOD:
                passed += 1
            elif test["result"] == "SKIP":
                skipped += 1
                print(f"skipped: {build_dir}: {test['name']}")
            else:
                failed += 1
                show_failure(build_dir, test)
    print()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
