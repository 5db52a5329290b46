/* What this server supports, as tables in Markdown: docs/protocol.md carries them, a test keeps the
 * page equal to the code. */
#pragma once

#include <stdio.h>

void api_table_print(FILE *f);
/* Topic settings: default, allowed values, and whether they have an effect. */
void topic_table_print(FILE *f);
