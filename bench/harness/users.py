"""A user's figures: what a small librdkafka program (bench/users/rdkafka_perf.c) gets from a server
that runs already, beside what prebuilt batches show that it can do."""

import json
import subprocess

# So few that none stays empty: librdkafka, left to its defaults, asks for the first partition alone
# when it begins to read, and waits half a second when there is nothing in it.
PARTITIONS = 4
SHAPES = ((1000, 1_000_000), (100, 3_000_000))  # bytes, records
QUICK_SHARE = 5
TIMEOUT = 120


class UserError(RuntimeError):
    pass


def run(program, port, *arguments):
    """One run of the program: its JSON."""
    command = [program, "-b", f"127.0.0.1:{port}", "-T", TIMEOUT, *arguments]
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=2 * TIMEOUT)
    if done.returncode != 0:
        raise UserError(done.stderr.strip()[-1000:])
    return json.loads(done.stdout)


def of_user(result):
    """{figure: value} of that JSON, under the names that the driver's figures have."""
    found = {name: result[name] for name in ("bytes_per_second", "records_per_second")}
    found |= {name: us * 1e-6 for name, us in result.get("latency_us", {}).items()}
    found["driver_cores"] = result["cpu_seconds"] / result["seconds"]
    found["driver_cpu_s_per_gb"] = result["cpu_seconds"] / (result["bytes"] * 1e-9)
    return found


def once(program, port, topic, shape):
    """Produces a topic and reads it back."""
    size, records = shape
    topic = ["-t", topic, "-n", records]
    return {
        "produce": of_user(run(program, port, *topic, "-p", PARTITIONS, "-s", size, "produce")),
        "consume": of_user(run(program, port, *topic, "consume")),
    }


def measure(program, port, shape, repetitions):
    """{"produce": {figure: [value of each repetition]}, "consume": …} for one of SHAPES.  A round
    before them warms the server up."""
    rounds = [once(program, port, f"user-{shape[0]}-{n}", shape) for n in range(repetitions + 1)]
    return {way: {figure: [found[way][figure] for found in rounds[1:]] for figure in figures}
            for way, figures in rounds[0].items()}


def shapes(quick):
    return [(size, records // QUICK_SHARE if quick else records) for size, records in SHAPES]
