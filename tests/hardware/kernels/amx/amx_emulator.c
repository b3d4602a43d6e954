/* AMX on a CPU without it: the tile instructions of this process, one by one.
 *
 * Such a CPU raises SIGILL at each of them. The handler decodes it, does what it would do to tiles
 * of this thread, and goes on behind it; all other code runs as it is. Handled are
 *
 *   ldtilecfg m512       C4 E2 78 49 /0         tilerelease         C4 E2 78 49 C0
 *   tilezero tmm         C4 E2 7B 49 11:rrr:000
 *   tileloadd tmm, sib   C4 xx 7B 4B /r         tileloaddt1         C4 xx 79 4B /r
 *   tilestored sib, tmm  C4 xx 7A 4B /r
 *   tdpbusd tmm1, tmm2, tmm3     C4 E2 vv 5E 11:rrr:bbb     vvvv is tmm3
 *
 * What a real CPU would refuse (#UD, #GP, a page fault) is kept as a sentence, the first one only,
 * and the instruction is left out: bad configurations, tiles without one, sizes that do not belong
 * together, memory that cannot be read or written. Memory is touched behind sigsetjmp, so that a
 * guard page behind a buffer is a sentence as well.
 *
 * Build: cc -O2 -shared -fPIC amx_emulator.c -o amx_emulator.so
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, LDTILECFG,
 * TILELOADD, TILESTORED, TILEZERO, TILERELEASE, TDPBUSD.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

enum { ROWS = 16, ROW_BYTES = 64, TILES = 8 };
enum kind { CONFIGURE, RELEASE, ZERO, LOAD, STORE, MULTIPLY, KINDS };

struct tile {
  int rows, row_bytes;
  uint8_t data[ROWS][ROW_BYTES];
};

struct instruction {
  enum kind kind;
  int length;
  int tile, left, right;
  uint8_t *base;
  int64_t stride;
};

/* Of each thread, as the real ones. */
static __thread struct tile tiles[TILES];
static __thread int is_configured;
static __thread volatile sig_atomic_t is_probing;
static __thread sigjmp_buf probe;

static struct sigaction before_illegal, before_fault;
static long counts[KINDS];
static char problem[256];

static void complain(const char *format, ...) {
  if (problem[0]) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(problem, sizeof problem, format, arguments);
  va_end(arguments);
}

static int64_t register_value(const greg_t *registers, int number) {
  static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                 REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                 REG_R12, REG_R13, REG_R14, REG_R15};
  return registers[places[number]];
}

/* The memory operand behind a ModRM byte; what `length` counts ends with the displacement. */
static void decode_memory(const uint8_t *code, const greg_t *registers, struct instruction *found) {
  const uint8_t *at = code + 5;
  int mod = code[4] >> 6, low = code[4] & 7;
  int base_high = code[1] & 0x20 ? 0 : 8, index_high = code[1] & 0x40 ? 0 : 8;
  int64_t base = 0, displacement = 0;
  int by_place = 0, wide = mod == 2;
  if (low == 4) {
    uint8_t sib = *at++;
    int index = (sib >> 3 & 7) | index_high;
    if (index != 4) found->stride = register_value(registers, index) * (1 << (sib >> 6));
    if (mod == 0 && (sib & 7) == 5)
      wide = 1;
    else
      base = register_value(registers, (sib & 7) | base_high);
  } else if (mod == 0 && low == 5) {
    by_place = wide = 1;
  } else {
    base = register_value(registers, low | base_high);
  }
  if (wide) {
    int32_t four;
    memcpy(&four, at, 4);
    displacement = four;
    at += 4;
  } else if (mod == 1) {
    displacement = (int8_t)*at++;
  }
  found->length = (int)(at - code);
  if (by_place) base = (int64_t)(intptr_t)at;
  found->base = (uint8_t *)(intptr_t)(base + displacement);
}

/* 1 where the bytes are an instruction of AMX that is known here. */
static int decode(const uint8_t *code, const greg_t *registers, struct instruction *found) {
  memset(found, 0, sizeof *found);
  /* VEX with three bytes, map 0F38, W and L 0. */
  if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || code[2] & 0x84) return 0;
  int prefix = code[2] & 3, more = ~(code[2] >> 3) & 15;
  int modrm = code[4], has_memory = modrm >> 6 != 3, low = modrm & 7;
  found->tile = modrm >> 3 & 7;
  found->length = 5;
  if (!(code[1] & 0x80)) return 0; /* there are eight tiles */
  if (code[3] == 0x49 && prefix == 0 && modrm == 0xc0) {
    found->kind = RELEASE;
  } else if (code[3] == 0x49 && prefix == 0 && has_memory && found->tile == 0) {
    found->kind = CONFIGURE;
    decode_memory(code, registers, found);
  } else if (code[3] == 0x49 && prefix == 3 && !has_memory && low == 0) {
    found->kind = ZERO;
  } else if (code[3] == 0x4b && prefix != 0 && has_memory && low == 4) {
    found->kind = prefix == 2 ? STORE : LOAD;
    decode_memory(code, registers, found);
  } else if (code[3] == 0x5e && prefix == 1 && !has_memory && more < TILES && code[1] & 0x20) {
    found->kind = MULTIPLY;
    found->left = low;
    found->right = more;
  } else {
    return 0;
  }
  return 1;
}

/* Copy between memory that may not be there and a row; 0 where it is not. */
static int copy(void *to, const void *from, size_t size) {
  is_probing = 1;
  int found = sigsetjmp(probe, 1) == 0;
  if (found) memcpy(to, from, size);
  is_probing = 0;
  return found;
}

static int has_size(int number, const char *name) {
  if (is_configured && tiles[number].rows) return 1;
  complain("%s: tile %d has no size", name, number);
  return 0;
}

static void release(void) {
  memset(tiles, 0, sizeof tiles);
  is_configured = 0;
}

static void configure(const uint8_t *place) {
  uint8_t layout[ROW_BYTES];
  release();
  if (!copy(layout, place, sizeof layout)) {
    complain("ldtilecfg: cannot read its 64 bytes");
    return;
  }
  if (layout[0] == 0) return;
  if (layout[0] != 1) complain("ldtilecfg: palette %d, and there is 1", layout[0]);
  for (int at = 1; at < ROW_BYTES; at++) {
    int is_size = (at >= 16 && at < 32) || (at >= 48 && at < 56);
    if (!is_size && layout[at]) complain("ldtilecfg: byte %d must be 0", at);
  }
  for (int number = 0; number < TILES; number++) {
    int row_bytes = layout[16 + 2 * number] | layout[17 + 2 * number] << 8;
    int rows = layout[48 + number];
    if (rows > ROWS || row_bytes > ROW_BYTES || !rows != !row_bytes)
      complain("ldtilecfg: tile %d of %d rows of %d bytes", number, rows, row_bytes);
    tiles[number].rows = rows > ROWS ? ROWS : rows;
    tiles[number].row_bytes = row_bytes > ROW_BYTES ? ROW_BYTES : row_bytes;
  }
  is_configured = 1;
}

static void load(const struct instruction *one) {
  struct tile *tile = &tiles[one->tile];
  if (!has_size(one->tile, "tileloadd")) return;
  memset(tile->data, 0, sizeof tile->data);
  for (int row = 0; row < tile->rows; row++)
    if (!copy(tile->data[row], one->base + row * one->stride, (size_t)tile->row_bytes))
      complain("tileloadd: cannot read row %d of tile %d", row, one->tile);
}

static void store(const struct instruction *one) {
  const struct tile *tile = &tiles[one->tile];
  if (!has_size(one->tile, "tilestored")) return;
  for (int row = 0; row < tile->rows; row++)
    if (!copy(one->base + row * one->stride, tile->data[row], (size_t)tile->row_bytes))
      complain("tilestored: cannot write row %d of tile %d", row, one->tile);
}

static void multiply(const struct instruction *one) {
  struct tile *sums = &tiles[one->tile];
  const struct tile *codes = &tiles[one->left], *weights = &tiles[one->right];
  if (!has_size(one->tile, "tdpbusd") || !has_size(one->left, "tdpbusd") ||
      !has_size(one->right, "tdpbusd"))
    return;
  if (one->tile == one->left || one->tile == one->right || one->left == one->right) {
    complain("tdpbusd: tiles %d, %d, %d are not three", one->tile, one->left, one->right);
    return;
  }
  if (sums->row_bytes != weights->row_bytes || sums->rows != codes->rows || codes->row_bytes & 3 ||
      sums->row_bytes & 3 || codes->row_bytes / 4 != weights->rows) {
    complain("tdpbusd: sizes of tiles %d, %d, %d do not belong together", one->tile, one->left,
             one->right);
    return;
  }
  for (int row = 0; row < sums->rows; row++) {
    uint32_t line[ROW_BYTES / 4];
    memcpy(line, sums->data[row], sizeof line);
    for (int step = 0; step < weights->rows; step++) {
      const uint8_t *q = codes->data[row] + 4 * step;
      const int8_t *w = (const int8_t *)weights->data[step];
      for (int channel = 0; channel < sums->row_bytes / 4; channel++)
        for (int code = 0; code < 4; code++)
          line[channel] += (uint32_t)(q[code] * w[4 * channel + code]);
    }
    memcpy(sums->data[row], line, (size_t)sums->row_bytes);
  }
}

static void execute(const struct instruction *one) {
  __atomic_add_fetch(&counts[one->kind], 1, __ATOMIC_RELAXED);
  switch (one->kind) {
    case CONFIGURE: configure(one->base); break;
    case RELEASE: release(); break;
    case ZERO:
      if (has_size(one->tile, "tilezero"))
        memset(tiles[one->tile].data, 0, sizeof tiles[one->tile].data);
      break;
    case LOAD: load(one); break;
    case STORE: store(one); break;
    default: multiply(one);
  }
}

static void on_illegal(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  struct instruction one;
  if (decode((const uint8_t *)registers[REG_RIP], registers, &one)) {
    execute(&one);
    registers[REG_RIP] += one.length;
  } else {
    sigaction(SIGILL, &before_illegal, NULL); /* it comes again, to who was there before */
  }
}

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number, (void)info, (void)context;
  if (is_probing) {
    is_probing = 0;
    siglongjmp(probe, 1);
  }
  sigaction(SIGSEGV, &before_fault, NULL);
}

/* Take over both signals, of all threads; 0 where that works. */
int emulator_start(void) {
  struct sigaction illegal, fault;
  memset(&illegal, 0, sizeof illegal);
  illegal.sa_sigaction = on_illegal;
  illegal.sa_flags = SA_SIGINFO;
  fault = illegal;
  fault.sa_sigaction = on_fault;
  fault.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (sigaction(SIGSEGV, &fault, &before_fault)) return 1;
  return sigaction(SIGILL, &illegal, &before_illegal);
}

void emulator_stop(void) {
  sigaction(SIGILL, &before_illegal, NULL);
  sigaction(SIGSEGV, &before_fault, NULL);
}

/* What a real CPU would have refused first since this was last asked; empty for nothing. */
void emulator_problem(char *text, size_t size) {
  snprintf(text, size, "%s", problem);
  problem[0] = 0;
}

/* Whether this thread's tiles had sizes; they have none any more. */
int emulator_release(void) {
  int had = is_configured;
  release();
  return had;
}

/* Instructions of one kind so far, of all threads. */
long emulator_count(int kind) { return __atomic_load_n(&counts[kind], __ATOMIC_RELAXED); }
