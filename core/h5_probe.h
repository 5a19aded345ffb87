#ifndef AE_CORE_H5_PROBE_H
#define AE_CORE_H5_PROBE_H
#include <stdbool.h>

/* Whether the HDF5 library survives a file whose descriptions carry no checksums (forms before 1.10): damaged
 * ones can crash it. Another process of this program opens every object, attribute and the data of all but
 * big sets first: it is started anew, since a process with threads must not go on after a fork. True too for
 * files that have checksums, or cannot be opened; those are not tried. For core/h5.c, with its lock held. */
bool ae_h5_survives(const char *path);

#endif
