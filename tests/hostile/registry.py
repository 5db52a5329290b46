"""The list of cases.  A case is a function of a Server (or Peer) that returns nothing and asserts;
its number is the fault's in the list of faults that docs/testing.md explains."""

CASES = []


class Case:
    def __init__(self, fault, name, run, peer, own, rss_mib):
        self.fault, self.name, self.run = fault, name, run
        self.peer = peer        # also true of another server: may run with --address
        self.own = own          # starts its own servers: gets the driver's settings instead of one
        self.rss_mib = rss_mib  # bound on the server's memory after the case


def case(fault, name, peer=False, own=False, rss_mib=None):
    def add(run):
        CASES.append(Case(fault, name, run, peer, own, rss_mib))
        return run
    return add


class Settings:
    """What a case with its own servers needs to know."""

    def __init__(self, varve, io):
        self.varve, self.io = varve, io

    def server(self, **k):
        from server import Server
        return Server(self.varve, k.pop('io', self.io), **k)
