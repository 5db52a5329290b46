/* Whole small files, blocking: for opening and closing the store.  Everything through base/io.h. */
#pragma once

#include "base/io.h"

/* Opens, -errno when that fails. */
int64_t file_open(struct io *io, int dir_fd, const char *name, int flags);
void file_close(struct io *io, int fd);
/* Reads at most cap bytes from off; returns how many, -errno. */
int64_t file_read(struct io *io, int fd, struct bytes_mut to, uint64_t off);
int64_t file_write(struct io *io, int fd, struct bytes b, uint64_t off);
int64_t file_sync(struct io *io, int fd);
/* All of a small file: bytes, or -errno (-EFBIG: larger than cap). */
int64_t file_load(struct io *io, int dir_fd, const char *name, struct bytes_mut to);
/* name.tmp, fsync, rename, fsync of the directory: 0 or -errno. */
int64_t file_replace(struct io *io, int dir_fd, const char *name, struct bytes b);
