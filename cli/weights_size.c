#include "cli/weights_size.h"

#include "core/file.h"
#include "core/log.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>

static size_t file_bytes(const char *path) {
    const int64_t bytes = ae_file_size(path);
    return bytes > 0 ? (size_t)bytes : 0;
}

static size_t folder_bytes(const char *folder) {
    size_t sum = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (fnmatch("*.safetensors", e->d_name, 0) != 0) continue;
        char *path = ae_path_join(folder, e->d_name);
        sum += file_bytes(path);
        free(path);
    }
    if (d) closedir(d);
    return sum;
}

void ae_weights_size(const char *path, char *out, size_t n) {
    ae_format_bytes(out, n, ae_path_is_folder(path) ? folder_bytes(path) : file_bytes(path));
}
