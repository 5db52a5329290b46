"""`./dev bench`: runs the scenarios of bench/scenarios on varve and its peers, beside the limits of
the machine, and reports what came out.  bench/README.md describes it."""
