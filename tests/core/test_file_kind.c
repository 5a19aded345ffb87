#include "core/file_kind.h"
#include "tests/core/scratch.h"

TestSuite(file_kind, .init = scratch_make, .fini = scratch_remove);

static void expect_kind(const void *bytes, size_t n, const char *name) {
    const ae_file_kind *kind = ae_bytes_kind(bytes, n);
    if (name == NULL) {
        cr_assert_null(kind);
        return;
    }
    cr_assert_not_null(kind, "%s", name);
    cr_assert_not_null(strstr(kind->name, name), "%s", kind->name);
    cr_assert(strlen(kind->hint) > 5);
    kind = ae_file_kind_of(scratch_write("file", bytes, n));
    cr_assert(kind && strstr(kind->name, name));
}

Test(file_kind, files_of_the_field_are_named) {
    expect_kind("GGUF\3\0\0\0", 8, "GGUF");
    expect_kind("PAR1\x15\4\x15.", 8, "Parquet");
    expect_kind("BZh91AY&SY\xb6\5", 12, "bzip2");
    expect_kind("\x28\xb5\x2f\xfd....", 8, "zstd");
    expect_kind("\x1f\x8b\x08.....", 8, "gzip");
    expect_kind("PK\3\4....", 8, "zip");
    expect_kind("\x80\x02}q\0.", 6, "pickle");
    expect_kind("\x93NUMPY\1\0", 8, "NumPy");
    expect_kind("\x89HDF\r\n\x1a\n", 8, "HDF5");
    expect_kind("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", 15, "PDF");
    expect_kind("%PDF-1.4\n1 0 obj\nstream\n\x01\x02", 26, "PDF");
    expect_kind("version https://git-lfs.github.com/spec/v1\n", 43, "git-lfs");
    expect_kind("\xff\xfeh\0i\0", 6, "UTF-16");
    expect_kind("\xff\xfe\0\0h\0\0\0", 8, "UTF-32");
    expect_kind("\x40\0\0\0\0\0\0\0{\"a\":", 13, "safetensors");
    char tar[512] = "name";
    memcpy(tar + 257, "ustar", 5);
    expect_kind(tar, sizeof tar, "tar");
}

Test(file_kind, text_and_little_are_nothing_special) {
    expect_kind("", 0, NULL);
    expect_kind("G", 1, NULL);
    expect_kind("{\"text\": \"PAR1\"}", 16, NULL);
    expect_kind("The quick brown fox", 19, NULL);
    expect_kind("PAR1 was the first of the series\n", 33, NULL);
    expect_kind("%PDF-1.7 begins such files, d\xc3\xa9j\xc3\xa0 vu\n", 38, NULL);
    expect_kind("%PDF-1.7 \xc3", 10, NULL);
    expect_kind("GGUF and GGML are formats", 25, NULL);
    expect_kind("\xc3\xa9t\xc3\xa9", 5, NULL);
    cr_assert_null(ae_file_kind_of("/nowhere/at/all"));
}
