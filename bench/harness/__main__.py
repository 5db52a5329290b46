"""The command line; `./dev bench --help`."""

import argparse
import datetime
import os
import pathlib
import signal
import sys

from . import limits, machine, peers, process, results, run, scenario as scenarios, table

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
DEFAULT_PEERS = "varve,kafka,kafka:flush"
QUICK_LEAVES_OUT = "kafka:flush"


def parser():
    p = argparse.ArgumentParser(
        prog="./dev bench", description="Measures varve beside the limits of this machine and "
        "beside other servers; bench/README.md says how.")
    p.add_argument("scenario", nargs="*", help="names of files in bench/scenarios (all)")
    p.add_argument("--quick", action="store_true", help="one short repetition, less of everything")
    p.add_argument("--peers", default="", metavar="LIST",
                   help=f"servers, by commas ({DEFAULT_PEERS}); none but varve: varve")
    p.add_argument("--repeat", type=int, default=0, metavar="N", help="repetitions (3; quick: 1)")
    p.add_argument("-o", "--output", type=pathlib.Path, metavar="DIR",
                   help="for the results (build/bench/DATE)")
    p.add_argument("--data", type=pathlib.Path, default=BUILD / "data", metavar="DIR",
                   help="where servers and fio write: the file system that is measured")
    p.add_argument("--cache", type=pathlib.Path, default=BUILD / "cache", metavar="DIR",
                   help="where peers keep what they fetched")
    p.add_argument("--varve", type=pathlib.Path, default=ROOT / "build" / "release" / "varve",
                   metavar="FILE", help="the binary (build/release/varve)")
    p.add_argument("--list", action="store_true", help="show the scenarios and end")
    p.add_argument("--report", type=pathlib.Path, metavar="DIR",
                   help="only make the report of earlier results again")
    p.add_argument("--plot", type=pathlib.Path, nargs=2, metavar=("FILE.svg", "DIR"),
                   help="only make the one plot of the README from earlier results")
    return p


def choose(options):
    """(scenarios, names of what a quick run leaves out)"""
    everything = scenarios.load_all(limits.LIMITS)
    known = {s.name: s for s in everything}
    unknown = [name for name in options.scenario if name not in known]
    if unknown:
        raise SystemExit(f"no scenario {unknown[0]!r}; there are: {', '.join(known)}")
    if options.scenario:
        return [s for s in everything if s.name in options.scenario], []
    if options.quick:
        return ([s for s in everything if s.quick is not None],
                [s.name for s in everything if s.quick is None])
    return everything, []


def find_peers(options, chosen):
    """(peers, why some are missing): the servers that the command line names, and varve's variants
    that a scenario names; varve last, because its rates may refer to the others."""
    listed = options.peers or DEFAULT_PEERS
    wanted = [name.strip().removesuffix(":default") for name in listed.split(",") if name.strip()]
    missing = []
    if options.quick and not options.peers:
        wanted.remove(QUICK_LEAVES_OUT)
        missing.append(QUICK_LEAVES_OUT)
    if "varve" in wanted:
        variants = {peer for s in chosen for peer in s.peers if peer.startswith("varve:")}
        wanted += sorted(variants - set(wanted))
    wanted.sort(key=lambda name: name.split(":")[0] == "varve")
    found, versions = [], {}
    for name in dict.fromkeys(wanted):
        try:
            peer = peers.find(name, options.cache)
            print(f"preparing {name}", file=sys.stderr)
            versions[peer.program] = peers.prepare(peer)
            found.append(peer)
        except process.ToolError as error:
            print(f"without {name}: {error}", file=sys.stderr)
            missing.append(f"{name} (it could not be prepared)")
    return found, missing, versions


def show_scenarios(chosen):
    for s in chosen:
        print(f"{s.name:<22} {s.title}\n{'':<22} {s.about}\n")


def interrupted(_number, _frame):
    """Once: a second Ctrl-C must not stop the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: print("stopping", file=sys.stderr))
    raise KeyboardInterrupt


def measure(options):
    chosen, left_out = choose(options)
    if options.list:
        return show_scenarios(chosen)
    os.environ["VARVE_BINARY"] = str(options.varve.resolve())
    options.data.mkdir(parents=True, exist_ok=True)
    found, missing, versions = find_peers(options, chosen)
    stamp = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    out = options.output or BUILD / stamp
    plan = run.Plan(chosen, found, options.repeat or (1 if options.quick else 3), options.quick,
                    options.data.resolve(), out.resolve(), options.varve.resolve(), options.cache)
    session = run.Session(plan)
    session.run()
    data = results.collect(session, machine.describe(plan.room), versions, left_out + missing)
    results.save(data, plan.out)
    table.show(data)
    return make_report(plan.out)


def make_report(directory):
    from . import report  # needs matplotlib, which nothing else does
    print(f"\nreport: {report.write(directory)}")


def main():
    options = parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        if options.report:
            make_report(options.report)
        elif options.plot:
            from . import plots
            plots.readme(results.read(options.plot[1]), options.plot[0])
        else:
            measure(options)
    except process.ToolError as error:
        raise SystemExit(f"bench: {error}") from error
    except scenarios.ScenarioError as error:
        raise SystemExit(f"bench: scenario {error}") from error
    except BrokenPipeError:  # who read the output has gone
        os._exit(1)
    except KeyboardInterrupt:
        raise SystemExit("bench: interrupted; servers are stopped, their data is removed") from None


main()
