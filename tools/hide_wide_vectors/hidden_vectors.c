/* A preloaded library that shows every program a CPU with AVX2 and nothing wider.
 *
 * Linux can make the cpuid instruction fault (arch_prctl ARCH_SET_CPUID, on processors with CPUID
 * faulting). The fault arrives here as SIGSEGV; the handler executes the real cpuid, takes the bits
 * of AVX-512, VNNI, AMX and AVX10 out of the answer, and goes on behind the instruction. Libraries
 * that choose their code by cpuid then choose what they would choose on an AVX2 machine. Nothing is
 * slowed and no instruction is forbidden: code that uses AVX-512 without asking still runs.
 *
 * On processors without CPUID faulting, replaced_cpuid.c has put clts, which faults in the same way,
 * in the place of every cpuid of the libraries that choose code by it. hidden_vectors.py then builds
 * this file with -DREPLACED.
 *
 * The dynamic loader asks before this library is loaded, so glibc's own memcpy and the like keep
 * the choice they made from the whole CPU; hidden_vectors.py tells it through GLIBC_TUNABLES.
 *
 * Build: cc -O2 -shared -fPIC hidden_vectors.c -o hidden_vectors.so -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(number) (1u << (number))

/* The second byte of what faults, after 0x0f, of clts or of cpuid; and what a success is called. */
#ifdef REPLACED
#define FAULTING 0x06
#define HIDDEN 2
#else
#define FAULTING 0xa2
#define HIDDEN 1
#endif

typedef int (*sigaction_function)(int, const struct sigaction *, struct sigaction *);

/* What the program wanted to happen at a segmentation fault. */
static struct sigaction others;
static sigaction_function real_sigaction;

/* 1 where cpuid faults now, 2 where what was put in its place does, -1 where the kernel or the
 * processor cannot make it fault. */
__attribute__((visibility("default"))) int bitalloc_vectors_hidden = -1;

static long cpuid_enabled(long enabled) {
#ifdef REPLACED
  return 0;
#else
  return syscall(SYS_arch_prctl, ARCH_SET_CPUID, enabled);
#endif
}

static void narrowed_cpuid(unsigned leaf, unsigned subleaf, unsigned out[4]) {
  /* The setting belongs to a thread: no other one sees the moment in which cpuid works. */
  cpuid_enabled(1);
  __asm__ volatile("cpuid"
                   : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                   : "a"(leaf), "c"(subleaf));
  cpuid_enabled(0);
  if (leaf == 7 && subleaf == 0) {
    /* F, DQ, IFMA, PF, ER, CD, BW, VL */
    out[1] &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
    /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
    out[2] &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));
    /* 4VNNIW, 4FMAPS, VP2INTERSECT, AMX-BF16, FP16, AMX-TILE, AMX-INT8 */
    out[3] &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25));
  }
  if (leaf == 7 && subleaf == 1) {
    /* AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA */
    out[0] &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(23));
    /* AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10 */
    out[3] &= ~(BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19));
  }
}

static void on_fault(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)registers[REG_RIP];
  /* A faulting instruction of this kind has si_code SI_KERNEL; a wild jump has SEGV_MAPERR, and
   * reading its code here would fault again. */
  if (info->si_code == SI_KERNEL && code[0] == 0x0f && code[1] == FAULTING) {
    unsigned out[4];
    narrowed_cpuid((unsigned)registers[REG_RAX], (unsigned)registers[REG_RCX], out);
    registers[REG_RAX] = out[0];
    registers[REG_RBX] = out[1];
    registers[REG_RCX] = out[2];
    registers[REG_RDX] = out[3];
    registers[REG_RIP] += 2;
    return;
  }
  if (others.sa_flags & SA_SIGINFO) {
    others.sa_sigaction(number, info, context);
  } else if (others.sa_handler != SIG_DFL && others.sa_handler != SIG_IGN) {
    others.sa_handler(number);
  } else {
    /* Returning executes the faulting instruction again, now with the default: death and a core. */
    struct sigaction plain;
    memset(&plain, 0, sizeof plain);
    plain.sa_handler = SIG_DFL;
    real_sigaction(SIGSEGV, &plain, NULL);
  }
}

/* Libraries that install a handler for their own back-traces must not remove this one. */
int sigaction(int number, const struct sigaction *wanted, struct sigaction *previous) {
  if (real_sigaction == NULL) real_sigaction = (sigaction_function)dlsym(RTLD_NEXT, "sigaction");
  if (number != SIGSEGV || bitalloc_vectors_hidden < 1)
    return real_sigaction(number, wanted, previous);
  struct sigaction before = others;
  if (wanted != NULL) others = *wanted;
  if (previous != NULL) *previous = before;
  return 0;
}

sighandler_t signal(int number, sighandler_t handler) {
  struct sigaction wanted, previous;
  memset(&wanted, 0, sizeof wanted);
  wanted.sa_handler = handler;
  wanted.sa_flags = SA_RESTART;
  sigemptyset(&wanted.sa_mask);
  return sigaction(number, &wanted, &previous) ? SIG_ERR : previous.sa_handler;
}

__attribute__((constructor(101))) static void hide(void) {
  struct sigaction ours;
  memset(&ours, 0, sizeof ours);
  ours.sa_sigaction = on_fault;
  /* SA_NODEFER: a fault inside another handler, or a real one inside this, is not held back. */
  ours.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&ours.sa_mask);
  sigaction(SIGSEGV, &ours, &others);
  if (cpuid_enabled(0) == 0) bitalloc_vectors_hidden = HIDDEN;
}
