#ifndef AE_DATA_DOCUMENTS_H
#define AE_DATA_DOCUMENTS_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The documents of text and JSONL files (plain or gzip), read in blocks of whole pieces. JSON lines hold one
 * document a line, in the string field `text_key`; any other file is one document, or several with `split_on`
 * between them. A file is JSON lines when its name says so (.jsonl, .ndjson or .json, in any case, with or
 * without .gz); one of another name whose first line, blank ones left out, is an object with that field is
 * refused, unless `format` decides. Text is valid UTF-8 and kept to the byte; documents of nothing but
 * whitespace are left out and counted; blank lines of JSONL are passed over. A big document comes in pieces,
 * cut as ae_text_edge says, so that nothing bigger than a line of JSONL is ever held. Blocks depend on the
 * input alone. */

enum { AE_BLOCK_BYTES = 1 << 18 };

typedef struct {
    size_t offset, n; /* in the text of the block; n may be 0 where a document ends */
    int64_t document; /* its number, from 0 */
    int64_t at;       /* bytes of the document before this piece */
    bool begins, ends;
} ae_piece;

typedef struct {
    char *text;
    size_t n, capacity;
    ae_piece *pieces;
    size_t n_pieces, pieces_capacity;
} ae_block;
void ae_block_free(ae_block *b);

typedef enum { AE_FORMAT_AUTO, AE_FORMAT_TEXT, AE_FORMAT_JSONL } ae_text_format;
/* What --format names: auto, text or jsonl. */
ae_status ae_text_format_parse(const char *name, ae_text_format *format);

/* Lines that were left out, and the first of them: "scraped.jsonl:17: expected ...". */
enum { AE_BAD_LINES_TOLD = 10 };
typedef struct {
    int64_t n;
    char *first[AE_BAD_LINES_TOLD]; /* NULL after the last */
} ae_bad_lines;
/* What the last failure said, of a line that is left out; `b` may be NULL. */
void ae_bad_lines_note(ae_bad_lines *b);
void ae_bad_lines_free(ae_bad_lines *b);

typedef struct {
    const char *const *inputs;
    size_t n_inputs;
    const char *text_key;     /* NULL: "text" */
    const char *split_on;     /* NULL: a text file is one document */
    ae_status (*check)(void); /* asked before every block, its failure ends the reading; may be NULL */
    ae_text_format format;
    bool skip_bad;     /* lines that are malformed are left out; else the first is AE_ERR_INPUT */
    ae_bad_lines *bad; /* where they are told, with skip_bad; may be NULL */
} ae_documents_options;

typedef struct {
    int64_t documents, empty_documents, text_bytes, input_bytes; /* input_bytes: as on disk */
} ae_documents_count;

/* Whether a file is JSON lines by its name: .jsonl, .ndjson or .json, in any case, with or without .gz. */
bool ae_path_names_jsonl(const char *path);

typedef struct ae_documents ae_documents;

ae_status ae_documents_open(ae_documents **d, const ae_documents_options *o);
/* The next pieces, AE_BLOCK_BYTES of text or a little more; no pieces at the end. Malformed input is
 * AE_ERR_INPUT with file and line. */
ae_status ae_documents_next(ae_documents *d, ae_block *b);
/* Of what was read so far. */
ae_documents_count ae_documents_counted(const ae_documents *d);
void ae_documents_close(ae_documents *d);

/* About `bytes` of the text at most, whole lines spread evenly over the input (where depends on the seed);
 * everything when there is less. Caller frees. */
ae_status ae_documents_sample(const ae_documents_options *o, int64_t bytes, uint64_t seed, char **text,
                              size_t *n);

#ifdef __cplusplus
}
#endif
#endif
