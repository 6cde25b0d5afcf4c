/* dlopen(file, mode) and dlmopen(space, file, mode), less RTLD_DEEPBIND: a library loaded
 * with that calls the C library's free and realloc, whoever has replaced them, for
 * memory that others give to it. The C library's own is jumped to: by where its
 * caller is, it knows whose RUNPATH and $ORIGIN are meant. In a name space of its
 * own a library has another C library as well, and the mode is left to it.
 *
 * In the shared library alone: behind an archive's there may be none. */
#ifdef PIC
#define RTLD_DEEPBIND 8

    .text
    .globl  dlopen
    .hidden gc__real_dlopen
    .type   dlopen, %function
    .balign 16
dlopen:
    .cfi_startproc
    hint    #34                     /* bti c */
    and     w1, w1, #~RTLD_DEEPBIND
    stp     x29, x30, [sp, #-32]!
    .cfi_def_cfa_offset 32
    .cfi_offset x29, -32
    .cfi_offset x30, -24
    mov     x29, sp
    stp     x0, x1, [sp, #16]
    bl      gc__real_dlopen
    mov     x16, x0
    ldp     x0, x1, [sp, #16]
    ldp     x29, x30, [sp], #32
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    br      x16
    .cfi_endproc
    .size   dlopen, . - dlopen

    .globl  dlmopen
    .hidden gc__real_dlmopen
    .type   dlmopen, %function
    .balign 16
dlmopen:
    .cfi_startproc
    hint    #34                     /* bti c */
    cbnz    x0, 1f                  /* not LM_ID_BASE */
    and     w2, w2, #~RTLD_DEEPBIND
1:  stp     x29, x30, [sp, #-48]!
    .cfi_def_cfa_offset 48
    .cfi_offset x29, -48
    .cfi_offset x30, -40
    mov     x29, sp
    stp     x0, x1, [sp, #16]
    str     x2, [sp, #32]
    bl      gc__real_dlmopen
    mov     x16, x0
    ldp     x0, x1, [sp, #16]
    ldr     x2, [sp, #32]
    ldp     x29, x30, [sp], #48
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    br      x16
    .cfi_endproc
    .size   dlmopen, . - dlmopen
#endif
    .section .note.GNU-stack, "", %progbits
