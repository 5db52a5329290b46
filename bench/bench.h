/* `varve bench`: a load driver for any server that speaks the Kafka wire protocol. */
#pragma once

/* argv[0] is "bench".  Exit code: 0 fine, 1 the run failed, 2 wrong usage. */
int bench_main(int argc, char **argv);
