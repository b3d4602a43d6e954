/* An audit library that takes the cpuid instruction out of other libraries as they are loaded.
 *
 * For processors that cannot make cpuid fault. At every place in the list that the build includes,
 * the two bytes of cpuid become those of clts, which only the kernel may execute: it faults in the
 * same way, and hidden_vectors.c answers it. The dynamic loader calls la_objopen when a library is
 * mapped and none of its code has run yet, so that its constructors are answered, too. The files
 * themselves stay as they are: the pages are this process's own copies.
 *
 * Build: cc -O2 -shared -fPIC -DPLACES='"places.inc"' replaced_cpuid.c -o replaced_cpuid.so
 * Source: man 7 rtld-audit
 */
#define _GNU_SOURCE
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct place {
  const char *library;    /* the file's real path */
  unsigned long address;  /* in the library */
};

static const struct place places[] = {
#include PLACES
    {NULL, 0},
};

static void replace(unsigned char *code) {
  static const unsigned char cpuid[2] = {0x0f, 0xa2}, clts[2] = {0x0f, 0x06};
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  unsigned char *start = (unsigned char *)((uintptr_t)code & ~(page - 1));
  size_t size = (size_t)(code + 2 - start);
  if (memcmp(code, cpuid, 2) != 0) return;
  if (mprotect(start, size, PROT_READ | PROT_WRITE) != 0) return;
  memcpy(code, clts, 2);
  mprotect(start, size, PROT_READ | PROT_EXEC);
}

unsigned la_version(unsigned version) { return version; }

unsigned la_objopen(struct link_map *map, Lmid_t space, uintptr_t *cookie) {
  char library[PATH_MAX];
  (void)space, (void)cookie;
  if (realpath(map->l_name, library) == NULL) return 0;
  for (const struct place *place = places; place->library != NULL; place++)
    if (strcmp(place->library, library) == 0)
      replace((unsigned char *)(map->l_addr + place->address));
  return 0; /* nothing else is audited */
}
