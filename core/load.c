#include "core/load.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* "cpu  user nice system idle iowait irq softirq steal": guests are part of user and nice. */
bool ae_load_parse(ae_load *now, const char *line, double ticks) {
    double t[8];
    const int n = sscanf(line, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", t, t + 1, t + 2, t + 3, t + 4, t + 5,
                         t + 6, t + 7);
    if (n != 8) return false;
    const double idle = t[3] + t[4];
    now->busy = (t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / ticks;
    now->all = now->busy + idle / ticks;
    return true;
}

static double seconds(struct timeval t) {
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

bool ae_load_read(ae_load *now) {
    char line[512];
    struct rusage own;
    FILE *f = fopen("/proc/stat", "re");
    if (!f) return false;
    const bool read = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (getrusage(RUSAGE_SELF, &own) != 0) return false;
    now->own = seconds(own.ru_utime) + seconds(own.ru_stime);
    return read && ae_load_parse(now, line, (double)sysconf(_SC_CLK_TCK));
}

double ae_load_others(const ae_load *before, const ae_load *after) {
    const double all = after->all - before->all,
                 others = after->busy - before->busy - (after->own - before->own);
    return all > 0 && others > 0 ? others / all : 0;
}
