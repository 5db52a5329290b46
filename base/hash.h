/* Hash tables are uthash's, with XXH3 as the hash; this is the one way to include it. */
#pragma once

#include <xxhash.h>

#define HASH_FUNCTION(key, len, hash) ((hash) = (unsigned)XXH3_64bits((key), (len)))
#include <uthash.h>
