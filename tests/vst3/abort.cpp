// What a broken plugin does when it is loaded.
#include <cstdlib>
__attribute__((constructor)) static void load() { abort(); }
