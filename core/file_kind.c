#include "core/file_kind.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { TAR_MAGIC_AT = 257 };

typedef struct {
    const char *magic;
    size_t n;
    ae_file_kind kind;
    bool is_text; /* text may begin so too: a byte that no text has must follow */
} known;

#define STARTS(text) (text), sizeof(text) - 1
static const char unpack[] = "unpack it first";

static const known all[] = {
    {STARTS("GGUF"),
     {"a GGUF file of llama.cpp", "take the Hugging Face folder that it was made from"},
     true},
    {STARTS("ggml"), {"a GGML file", "take the Hugging Face folder that it was made from"}, true},
    {STARTS("PAR1"),
     {"a Parquet file", "write its rows as JSON lines (pandas: read_parquet(...).to_json(..., "
                        "orient=\"records\", lines=True))"},
     true},
    {STARTS("ARROW1\0\0"), {"an Arrow file", "write its rows as JSON lines (datasets: to_json)"}, false},
    {STARTS("\x28\xb5\x2f\xfd"),
     {"a file compressed with zstd", "decompress it (zstd -d) or compress it with gzip"},
     false},
    {STARTS("\x1f\x8b"), {"a file compressed with gzip", "decompress it (gunzip)"}, false},
    {STARTS("BZh"),
     {"a file compressed with bzip2", "decompress it (bunzip2) or compress it with gzip"},
     true},
    {STARTS("\xfd"
            "7zXZ"),
     {"a file compressed with xz", "decompress it (unxz) or compress it with gzip"},
     false},
    {STARTS("7z\xbc\xaf\x27\x1c"), {"a 7-Zip archive", unpack}, false},
    {STARTS("Rar!\x1a\x07"), {"a RAR archive", unpack}, false},
    {STARTS("PK\x03\x04"),
     {"a zip archive (what PyTorch and NumPy save are such)",
      "of weights: save them as safetensors; else unpack it first"},
     false},
    {STARTS("\x80\x02"),
     {"a pickle of Python (as PyTorch saves)", "save weights as safetensors, rows as JSON lines"},
     false},
    {STARTS("\x80\x04\x95"),
     {"a pickle of Python", "save weights as safetensors, rows as JSON lines"},
     false},
    {STARTS("\x93NUMPY"), {"a NumPy array", "write it as JSON lines or as a token set"}, false},
    {STARTS("\x89HDF\r\n\x1a\n"),
     {"an HDF5 file (token sets and checkpoints are such)",
      "name the text, or give it where a token set or a model is expected"},
     false},
    {STARTS("%PDF-"), {"a PDF file", "take its text out first (pdftotext)"}, true},
    {STARTS("SQLite format 3\0"), {"an SQLite database", "write its rows as JSON lines"}, false},
    {STARTS("\xd0\xcf\x11\xe0"), {"an old Office document", "save it as plain text"}, false},
    {STARTS("\x7f"
            "ELF"),
     {"a program", "name the file that holds the text"},
     false},
    {STARTS("version https://git-lfs"),
     {"a pointer of git-lfs in place of the file", "fetch the file itself (git lfs pull)"},
     false},
    {STARTS("\xff\xfe\0\0"), {"text in UTF-32", "convert it (iconv -f UTF-32 -t UTF-8)"}, false},
    {STARTS("\0\0\xfe\xff"), {"text in UTF-32", "convert it (iconv -f UTF-32 -t UTF-8)"}, false},
    {STARTS("\xff\xfe"), {"text in UTF-16", "convert it (iconv -f UTF-16 -t UTF-8)"}, false},
    {STARTS("\xfe\xff"), {"text in UTF-16", "convert it (iconv -f UTF-16 -t UTF-8)"}, false},
};

/* Eight bytes of a length, then the JSON of its header. */
static const ae_file_kind safetensors = {"a safetensors file",
                                         "give the folder that it lies in, with its config.json"};
static const ae_file_kind tar = {"a tar archive", unpack};

static bool is_safetensors(const unsigned char *b, size_t n) {
    return n >= 10 && b[8] == '{' && (b[9] == '"' || b[9] == '}') && b[4] == 0 && b[5] == 0 && b[6] == 0 &&
           b[7] == 0;
}

/* Text may begin with "PAR1", but has no control characters other than tabs, line ends and page ends, and no character without its second byte. */
static bool is_no_text(const unsigned char *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (b[i] < 9 || (b[i] > 13 && b[i] < 32)) return true;
        if (b[i] >= 0xc0 && i + 1 < n && (b[i + 1] & 0xc0) != 0x80) return true;
    }
    return false;
}

const ae_file_kind *ae_bytes_kind(const void *bytes, size_t n) {
    const char *b = bytes;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (n >= all[i].n && memcmp(b, all[i].magic, all[i].n) == 0 &&
            (!all[i].is_text || is_no_text(bytes, n)))
            return &all[i].kind;
    if (is_safetensors(bytes, n)) return &safetensors;
    if (n >= TAR_MAGIC_AT + 5 && memcmp(b + TAR_MAGIC_AT, "ustar", 5) == 0) return &tar;
    return NULL;
}

const ae_file_kind *ae_file_kind_of(const char *path) {
    char start[TAR_MAGIC_AT + 5];
    FILE *f = fopen(path, "rbe");
    if (f == NULL) return NULL;
    const size_t n = fread(start, 1, sizeof start, f);
    fclose(f);
    return ae_bytes_kind(start, n);
}
