/* A wrong clock for one process and its children: preload this, and say in AEVOLVE_TEST_SKEW how many seconds it is ahead.
   Only the time of day is moved; the monotonic clock is nobody's to set. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int failed = syscall(SYS_clock_gettime, clock, time);
    const char *ahead = getenv("AEVOLVE_TEST_SKEW");
    if (!failed && clock == CLOCK_REALTIME && ahead)
        time->tv_sec += atol(ahead);
    return failed;
}
