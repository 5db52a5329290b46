"""Measurements that are not made by the driver: what it costs to have a server, and what a user's
program on librdkafka gets from it."""

import json
import os

from . import figures, peers, process, units, users


def start(session, scenario, peer, name):
    """{figure: [values]} by bench/peers/start_time, on directories of its own."""
    room = session.plan.room / f"start-{os.getpid()}"
    room.mkdir(parents=True, exist_ok=True)
    try:
        text = process.run([peers.SCRIPTS / "start_time", peer.script, peer.cache, room,
                            peers.free_port(), peer.variant, session.repetitions(scenario)],
                           timeout=300)
    finally:
        peers.remove(room)
    (session.driver.raw / f"{name}.json").write_text(text, encoding="utf-8")
    found = figures.of_start(json.loads(text))
    session.say(f"{scenario.name} · {peer.name}: {units.show(min(found['first_answer']), 's')}")
    return found


def program(session):
    """Beside varve in the build directory, where librdkafka was found."""
    return session.plan.binary.parent / "bench" / "rdkafka_perf"


def user(session, scenario, server):
    """{"produce.figure": [values], "consume.figure": …}; the record_size names the shape."""
    if not program(session).exists():
        raise process.ToolError("bench/rdkafka_perf is not built: librdkafka is missing")
    size = scenario.steps[0].load["record_size"]
    shape = next((shape for shape in users.shapes(session.plan.quick) if shape[0] == size), None)
    if shape is None:
        raise process.ToolError(f"the user's program has no shape of {size} B records")
    try:
        found = users.measure(program(session), server.port, shape, session.repetitions(scenario))
    except users.UserError as error:
        raise process.ToolError(f"rdkafka_perf: {error}") from error
    session.say(f"{scenario.name} · {server.peer.name}: " + ", ".join(
        f"{way} {units.show(max(found[way]['records_per_second']), 'records/s')}" for way in found))
    return {f"{way}.{figure}": values for way, known in found.items()
            for figure, values in known.items() if figure in figures.FIGURES}
