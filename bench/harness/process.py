"""Running other programs: their output, their errors, and never leaving one behind."""

import signal
import subprocess

END_TIMEOUT = 90  # a script that stops its server first may need this long


class ToolError(RuntimeError):
    """A program that was needed failed; the text says which and how."""


def end(child):
    """Interrupts it, so that it can clean up behind itself, and waits until it is gone."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    try:
        child.communicate(timeout=END_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()


def begin(command, environment=None):
    """In a session of its own: an interruption from the terminal reaches it through end() only."""
    try:
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=environment, start_new_session=True)
    except FileNotFoundError as error:
        raise ToolError(f"{command[0]} is missing") from error


def run(command, *, timeout, environment=None):
    """What it printed; an interruption or a timeout ends it."""
    child = begin(command, environment)
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        end(child)
        raise ToolError(f"{command[0]} did not end within {timeout:.0f} s") from error
    except BaseException:
        end(child)
        raise
    if child.returncode != 0:
        raise ToolError(f"{command[0]} failed: {(err.strip() or out.strip())[-600:]}")
    return out
