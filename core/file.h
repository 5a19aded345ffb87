#ifndef AE_CORE_FILE_H
#define AE_CORE_FILE_H
#include "core/status.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

bool ae_path_exists(const char *path);
bool ae_path_is_folder(const char *path);
bool ae_path_same(const char *a, const char *b);          /* both are there, and one place */
char *ae_path_join(const char *folder, const char *name); /* caller frees; aborts when out of memory */
/* The same with a pattern of glob() for a name; what is special there stands for itself in `folder`. */
char *ae_path_pattern(const char *folder, const char *pattern);
bool ae_path_has(const char *folder, const char *name); /* whether FOLDER/name is there */
const char *
ae_path_last(const char *path); /* into `path`: behind its last slash; all of it when nothing is there */
/* PATH and then `ending`; of a last name for which both are too long (NAME_MAX) the end is left out. The
 * caller frees it; NULL: no memory. */
char *ae_path_beside(const char *path, const char *ending);
int64_t ae_file_size(const char *path); /* -1 when there is none */

/* Where a link leads, else the path itself; the caller frees *real. AE_ERR_USAGE for a link that leads
 * nowhere. */
ae_status ae_path_follow(char **real, const char *path);

/* Folder and its parents; fine when it exists. AE_ERR_USAGE when it cannot be made. */
ae_status ae_folder_make(const char *path);
/* The folder of a file that is to be written, and its parents. */
ae_status ae_parent_make(const char *path);
/* Whether the folder could be made, or written where it exists: AE_ERR_USAGE, or AE_ERR_RESOURCE on a full disk. Makes nothing
 * that stays. */
ae_status ae_folder_check(const char *path);
/* Removes a folder with everything below it. */
ae_status ae_folder_remove(const char *path);
/* What is below it only. */
ae_status ae_folder_empty(const char *path);
/* Whole file with a NUL behind it (caller frees). Missing: AE_ERR_INPUT. */
ae_status ae_file_read(const char *path, char **bytes, size_t *n);
/* Writes aside, fsyncs, renames into place, fsyncs the folder; a link is followed. A full disk is
 * AE_ERR_RESOURCE and leaves nothing behind. */
ae_status ae_file_write(const char *path, const void *bytes, size_t n);
/* fsync of a file or folder by path. */
ae_status ae_path_sync(const char *path);
/* rename + fsync of the parent folder. */
ae_status ae_path_rename(const char *from, const char *to);
/* The same, but what has appeared at `to` meanwhile stays: AE_ERR_USAGE. */
ae_status ae_path_rename_new(const char *from, const char *to);
/* CRC-32 (zlib) and size of a whole file. */
ae_status ae_file_crc32(const char *path, uint32_t *crc, int64_t *n);
/* Hands back the memory in which the system keeps what was written; a file that is synced loses nothing. */
void ae_file_uncache(const char *path);

/* Status and message for an output on which a call has just failed with errno: AE_ERR_RESOURCE for a full
 * disk, AE_ERR_USAGE for one that may not be written. For writers of their own, over FILE. */
ae_status ae_output_failed(const char *path);

/* Lines and blocks of text in a plain or gzip file, told by its first bytes and not by its name; "-" is
 * standard input. A byte order mark at the start is left out; what begins like another kind of file
 * (core/file_kind.h) is AE_ERR_INPUT, by its name. */
typedef struct ae_reader ae_reader;
ae_status ae_reader_open(ae_reader **r, const char *path);
/* The next line without its end ("\n" or "\r\n"), valid until the next call and with a NUL
 * behind it; *line is NULL at the end of the file. Lines may
 * hold NUL bytes: *n is the length. A truncated gzip file is AE_ERR_INPUT. */
ae_status ae_reader_line(ae_reader *r, char **line, size_t *n);
/* Up to `n` bytes into `buf`; *got is 0 at the end. */
ae_status ae_reader_read(ae_reader *r, void *buf, size_t n, size_t *got);
/* What comes next, up to `wanted` bytes, without taking it; *bytes is valid until the next call. */
ae_status ae_reader_peek(ae_reader *r, size_t wanted, const char **bytes, size_t *n);
int64_t ae_reader_line_number(const ae_reader *r); /* of the line last returned, from 1 */
/* Room for "FILE:LINE" of any file that can be opened. */
enum { AE_WHERE_BYTES = PATH_MAX + 32 };
int64_t
ae_reader_offset(const ae_reader *r); /* bytes of the file consumed so far (compressed, where it is) */
const char *ae_reader_name(const ae_reader *r);
void ae_reader_close(ae_reader *r);

#endif
