/* An io whose writes cost nothing: what changes a file's bytes or its size is done at once, without
 * doing it; all else goes to the simulator.  So what is counted is our own work. */
#pragma once

#include "base/io.h"

/* NULL: out of memory. */
struct io *null_disk_new(void);
/* Off at first, so that a store can be opened; on from then on. */
void null_disk_on(struct io *io, bool on);
