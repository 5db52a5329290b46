/* `varve bench`: a load driver for any server that speaks the Kafka wire protocol; and
 * `varve stats`, the other client in this binary. */
#pragma once

/* argv[0] is "bench".  Exit code: 0 fine, 1 the run failed, 2 wrong usage. */
int bench_main(int argc, char **argv);
/* argv[0] is "stats".  Exit code: 0 fine, 1 no answer, 2 wrong usage. */
int stats_main(int argc, char **argv);
