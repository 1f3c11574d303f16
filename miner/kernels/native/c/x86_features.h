/* What this x86 processor can do and the system saves on a switch of threads, by CPUID and XGETBV; the compilers'
   built-in answers are missing from some C libraries. Bits: Intel's manual, volume 2, CPUID. */
#ifndef AIPOW_X86_FEATURES_H
#define AIPOW_X86_FEATURES_H

#include <cpuid.h>
#include <stdint.h>

enum { SAVES_256 = 0x6, SAVES_512 = 0xe6 }; /* SSE and AVX; with mask registers and both halves of ZMM, too */

typedef struct {
    unsigned a, b, c, d;
} cpuid_answer;

/* Zeros where the processor has no such leaf. */
static inline cpuid_answer ask_cpuid(unsigned leaf, unsigned part) {
    cpuid_answer found = {0, 0, 0, 0};
    if (!__get_cpuid_count(leaf, part, &found.a, &found.b, &found.c, &found.d)) return (cpuid_answer){0, 0, 0, 0};
    return found;
}

static inline int is_saved(uint32_t state) {
    uint32_t low, high;
    if (!(ask_cpuid(1, 0).c & 1u << 27)) return 0; /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & state) == state;
}

static inline int has_avx2(void) { return is_saved(SAVES_256) && (ask_cpuid(7, 0).b & 1u << 5); }

static inline int has_avx_vnni(void) { return has_avx2() && (ask_cpuid(7, 1).a & 1u << 4); }

/* AVX-512 F and BW. */
static inline int has_avx512(void) {
    const unsigned wanted = 1u << 16 | 1u << 30;
    return is_saved(SAVES_512) && (ask_cpuid(7, 0).b & wanted) == wanted;
}

static inline int has_avx512_vnni(void) { return has_avx512() && (ask_cpuid(7, 0).c & 1u << 11); }

#endif
