"""The parts of the harness that need no server: python3 -m unittest, standard library only."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import (driver, figures, goals, limits, names, peers, results,  # noqa: E402
                     scenario, syscalls, table, units)

SCENARIO = """
title = "T"
about = "A."
headline = "p99"
peers = ["varve", "kafka", "kafka:flush"]
check = ["p99 <= 0.5 * kafka"]
[load]
mode = "produce"
connections = 4
record_size = 100
"""
STEPS = """
title = "T"
about = "A."
headline = "half.p99"
[load]
mode = "produce"
[[step]]
name = "max"
once = true
[[step]]
name = "half"
rate = "0.5 * max.records_per_second"
"""
ANSWER = {
    "mode": "consume", "options": "", "seconds": 2,
    "fetch": {"bytes_per_second": 5e8, "records_per_second": 5e5, "requests_per_second": 100,
              "unsent_records": 0, "latency_us": {"count": 10, "p50": 80, "p90": 90, "p99": 100,
                                                  "p99_9": 200, "p99_99": 300, "max": 400}},
    "driver": {"cpu_seconds": 0.1, "cores": 0.05, "cpu_seconds_per_gb": 0.1,
               "cpu_us_per_request": 7},
    "server": {"cpu_seconds": 0.2, "cores": 0.1, "cpu_seconds_per_gb": 0.2,
               "cpu_us_per_request": 12, "rss_bytes": 1000, "rss_peak_bytes": 2000},
}


class Units(unittest.TestCase):
    def test_numbers_carry_units(self):
        for text, value in (("40us", 4e-5), ("0.35", 0.35), ("5%", 0.05), ("20MB", 2e7),
                            ("4KiB", 4096), ("2ms", 2e-3)):
            self.assertAlmostEqual(units.number(text), value)

    def test_nonsense_is_refused(self):
        for text in ("", "us", "4 parsecs", "4parsec", "-1", "1.2.3"):
            with self.assertRaises(ValueError):
                units.number(text)

    def test_three_digits_in_the_unit_that_fits(self):
        for value, unit, text in ((1.0649e9, "B/s", "1.06 GB/s"), (77e-6, "s", "77.0 µs"),
                                  (0.0123, "s", "12.3 ms"), (29512, "requests/s",
                                                             "29.5 k requests/s"),
                                  (0.0005, "share", "0.0500 %"), (0, "s", "0 µs")):
            self.assertEqual(units.show(value, unit), text)
        self.assertEqual(units.show(None, "s"), "–")

    def test_a_range_is_in_the_unit_of_the_median(self):
        self.assertEqual(units.show_range(1e9, 0.9e9, 1.2e9, "B/s"), "1.00 GB/s [0.900–1.20]")
        self.assertEqual(units.show_range(1e9, 1e9, 1e9, "B/s"), "1.00 GB/s")


class Goals(unittest.TestCase):
    def judge(self, text, **known):
        return goals.judge(goals.parse(text), known.get)

    def test_factors_and_sums(self):
        self.assertTrue(self.judge("x >= 2 * y", x=2, y=1).met)
        self.assertFalse(self.judge("x > 2 * y", x=2, y=1).met)
        verdict = self.judge("x <= y + 40us", x=1.5e-4, y=1e-4)
        self.assertIs(verdict.met, False)
        self.assertAlmostEqual(verdict.right, 1.4e-4)
        self.assertTrue(self.judge("x <= y * 3 - z", x=1, y=1, z=2).met)

    def test_what_was_not_measured_is_open(self):
        self.assertIsNone(self.judge("x >= 2 * y", x=2).met)
        self.assertIsNone(self.judge("x >= 2", y=2).met)

    def test_only_the_language_is_accepted(self):
        for text in ("", "x", "x >=", ">= 2", "x >= 2 *", "x >= 2 y", "x >= 2 / y", "2 >= x",
                     "x == 2", "x >= y; y", "x >= __import__('os')", "x >= y.z()", "x >= 2 parsecs",
                     "x >= 2q", "x >= (y)"):
            with self.assertRaises(goals.GoalError, msg=text):
                goals.parse(text)

    def test_names_are_those_that_exist(self):
        known = {"left": "p99", "peers": ["varve", "kafka", "kafka_flush"], "steps": [""],
                 "limits": limits.LIMITS}
        self.assertEqual(names.resolve("p50", **known), names.Target("figure", "", "p50"))
        self.assertEqual(names.resolve("kafka", **known), names.Target("figure", "kafka", "p99"))
        self.assertEqual(names.resolve("kafka_flush.max", **known),
                         names.Target("figure", "kafka_flush", "max"))
        self.assertEqual(names.resolve("limits.memcpy", **known),
                         names.Target("limit", "", "memcpy"))
        for name in ("p98", "limits.none", "redpanda.p99", "kafka.p98", "half.p99"):
            with self.assertRaises(names.NameUnknown, msg=name):
                names.resolve(name, **known)

    def test_variants_have_identifiers(self):
        self.assertEqual([names.identifier(name) for name in
                          ("varve", "kafka:default", "kafka:flush", "varve:shards=2")],
                         ["varve", "kafka", "kafka_flush", "varve_shards_2"])


class Figures(unittest.TestCase):
    def test_median_range_and_best(self):
        found = figures.summarise([3, 1, 2], True)
        self.assertEqual((found.median, found.low, found.high, found.best), (2, 1, 3, 3))
        self.assertEqual(figures.summarise([3, 1, 2, 10], False).best, 1)
        self.assertEqual(figures.summarise([3, 1, 2, 10], False).median, 2.5)
        with self.assertRaises(ValueError):
            figures.summarise([], True)

    def test_the_mode_decides_what_the_short_names_are(self):
        found = figures.of_driver(ANSWER)
        self.assertEqual(found["bytes_per_second"], 5e8)
        self.assertAlmostEqual(found["p99"], 1e-4)
        self.assertEqual(found["fetch_p99"], found["p99"])
        self.assertNotIn("produce_p99", found)
        self.assertAlmostEqual(found["server_cpu_per_request"], 12e-6)
        self.assertEqual(found["server_rss_peak"], 2000)
        self.assertLessEqual(set(found), set(figures.FIGURES))

    def test_start_time(self):
        found = figures.of_start({"start_ms": [12, 10], "idle_rss_bytes": 5, "idle_cpu_percent": 1,
                                  "program_bytes": 7})
        self.assertEqual(found["first_answer"], [0.012, 0.01])
        self.assertEqual(found["idle_cpu"], [0.01])
        self.assertLessEqual(set(found), set(figures.FIGURES))


class Scenarios(unittest.TestCase):
    def read(self, text):
        return scenario.from_text("t", text, limits.LIMITS)

    def test_every_file_of_the_directory(self):
        found = scenario.load_all(limits.LIMITS)  # raises what is wrong, goals' names included
        self.assertEqual({one.name for one in found},
                         {path.stem for path in scenario.DIRECTORY.glob("*.toml")})
        self.assertIn("p1", {one.name for one in found})
        self.assertTrue(any(one.quick is None for one in found))

    def test_readable_keys_become_options(self):
        step = self.read(SCENARIO).steps[0]
        self.assertEqual(scenario.arguments(step.load), ["--connections", "4", "--size", "100"])
        self.assertEqual(scenario.arguments({"rewind": True, "keep": False}), ["--rewind"])

    def test_steps_stand_on_the_common_load(self):
        found = self.read(STEPS)
        self.assertEqual(found.step_names(), ["max", "half"])
        self.assertTrue(found.steps[0].once)
        self.assertEqual(found.steps[1].mode, "produce")
        self.assertEqual(scenario.rate_terms(found.steps[1].load)[0].factor, 0.5)

    def test_mistakes_are_named(self):
        for wrong, text in (("unknown key", SCENARIO + "conections = 4\n"),
                            ("unknown key", "colour = 1\n" + SCENARIO),
                            ("mode", SCENARIO.replace('"produce"', '"destroy"')),
                            ("p98", SCENARIO.replace('"p99"', '"p98"')),
                            ("redpanda", SCENARIO.replace("* kafka", "* redpanda")),
                            ("no limit", 'limit = "no"\n' + SCENARIO),
                            ("missing", SCENARIO.replace('title = "T"', "")),
                            ("names of their own", STEPS.replace('"half"\nrate', '"max"\nrate')
                             .replace("half.p99", "max.p99")),
                            ("max.p97", STEPS.replace("max.records_per_second", "max.p97")),
                            ("t: ", "title = ")):
            with self.assertRaises(scenario.ScenarioError, msg=text) as raised:
                self.read(text)
            self.assertIn(wrong, str(raised.exception))


class Results(unittest.TestCase):
    def setUp(self):
        self.scenario = scenario.from_text("t", SCENARIO, limits.LIMITS)
        self.by_peer = {"varve": {"p99": {"median": 1, "best": 0.9}},
                        "kafka": {"p99": {"median": 4, "best": 3}}}

    def test_the_bar_is_the_best_of_others_and_the_median_of_ours(self):
        find = results.lookup(self.scenario, self.by_peer, {}, "p99")
        self.assertEqual((find("p99"), find("kafka"), find("kafka_flush")), (1, 3, None))
        self.assertTrue(goals.judge(self.scenario.goals[0], find).met)

    def test_better_is_above_one_whatever_the_unit(self):
        row = {"figures": self.by_peer, "headline": "p99", "higher_is_better": False}
        self.assertEqual(results.times_better(row, "varve", "kafka"), 3)
        self.assertIsNone(results.times_better(row, "varve", "kafka:flush"))
        row["higher_is_better"] = True
        self.assertAlmostEqual(results.times_better(row, "varve", "kafka"), 1 / 3)

    def test_verdicts_are_counted(self):
        row = {"goals": [{"met": True}, {"met": True}, {"met": False}, {"met": None}]}
        self.assertEqual(table.verdict(row), "met 2, missed 1, open 1")
        self.assertEqual(table.verdict({"goals": []}), "")


class Tools(unittest.TestCase):
    def test_durations_as_the_driver_reads_them(self):
        self.assertEqual([driver.seconds(text) for text in ("250ms", "10s", "2m", 3)],
                         [0.25, 10, 120, 3])

    def test_perf_counts_or_does_not(self):
        self.assertEqual(syscalls.parse("# x\n\n1234,,raw_syscalls:sys_enter,99,100.00,,\n"), 1234)
        self.assertIsNone(syscalls.parse("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"))

    def test_two_free_ports(self):
        self.assertTrue(0 < peers.free_port() < 65535)

    def test_results_are_plain_json(self):
        summary = results.dataclasses.asdict(figures.summarise([1.5, 2.5], True))
        self.assertEqual(json.loads(json.dumps(summary))["values"], [1.5, 2.5])


if __name__ == "__main__":
    unittest.main()
