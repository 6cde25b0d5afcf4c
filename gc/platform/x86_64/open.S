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
    .type   dlopen, @function
    .balign 16
dlopen:
    .cfi_startproc
    endbr64
    andl    $~RTLD_DEEPBIND, %esi
    pushq   %rdi
    .cfi_adjust_cfa_offset 8
    pushq   %rsi
    .cfi_adjust_cfa_offset 8
    subq    $8, %rsp                /* a multiple of 16 */
    .cfi_adjust_cfa_offset 8
    call    gc__real_dlopen
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %rsi
    .cfi_adjust_cfa_offset -8
    popq    %rdi
    .cfi_adjust_cfa_offset -8
    jmp     *%rax
    .cfi_endproc
    .size   dlopen, . - dlopen

    .globl  dlmopen
    .hidden gc__real_dlmopen
    .type   dlmopen, @function
    .balign 16
dlmopen:
    .cfi_startproc
    endbr64
    testq   %rdi, %rdi              /* LM_ID_BASE */
    jnz     1f
    andl    $~RTLD_DEEPBIND, %edx
1:  pushq   %rdi
    .cfi_adjust_cfa_offset 8
    pushq   %rsi
    .cfi_adjust_cfa_offset 8
    pushq   %rdx
    .cfi_adjust_cfa_offset 8
    call    gc__real_dlmopen
    popq    %rdx
    .cfi_adjust_cfa_offset -8
    popq    %rsi
    .cfi_adjust_cfa_offset -8
    popq    %rdi
    .cfi_adjust_cfa_offset -8
    jmp     *%rax
    .cfi_endproc
    .size   dlmopen, . - dlmopen
#endif
    .section .note.GNU-stack, "", @progbits
