#include "train/made_folder.h"

#include "core/file.h"
#include "train/rendered.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The last name goes, with the slashes around it. */
static void cut_last(char *path) {
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/') n--;
    while (n > 0 && path[n - 1] != '/') n--;
    while (n > 1 && path[n - 1] == '/') n--;
    path[n] = '\0';
}

ae_status ae_made_folder_init(ae_made_folder *m, const char *dir) {
    char *there = ae_path_join("", dir);
    while (there[0] && !ae_path_exists(there)) cut_last(there);
    m->kept = strlen(there);
    free(there);
    m->made = !ae_path_exists(dir);
    return m->made ? ae_folder_make(dir) : AE_OK;
}

void ae_made_folder_undo(const ae_made_folder *m, const char *dir) {
    if (!m->made) return;
    char *at = ae_path_join("", dir), *rendered = ae_path_join(dir, ae_rendered_folder);
    if (ae_path_exists(rendered)) ae_folder_remove(rendered);
    while (strlen(at) > m->kept && rmdir(at) == 0) cut_last(at);
    free(rendered);
    free(at);
}
