/* The API table as documentation: docs/protocol.md carries it, a test keeps the two equal. */
#pragma once

#include <stdio.h>

void api_table_print(FILE *f);
