// is-it-slop's wheel asks for four functions that glibc has only since 2.38. Older ones do the same under their old names
// (but for binary literals, C23's addition, which nobody passes here). `make evaluate` preloads this.
#include <stdlib.h>

long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
unsigned long __isoc23_strtoul(const char *text, char **end, int base) { return strtoul(text, end, base); }
long long __isoc23_strtoll(const char *text, char **end, int base) { return strtoll(text, end, base); }
unsigned long long __isoc23_strtoull(const char *text, char **end, int base) { return strtoull(text, end, base); }
