# BROOM_TRY_FLAGS(VARIABLE, FLAGS)
# Appends to VARIABLE each of FLAGS that the compiler accepts, and substitutes
# it. -Werror because clang only warns of a flag that it does not know.
AC_DEFUN([BROOM_TRY_FLAGS], [
  for broom_flag in $2; do
    AC_MSG_CHECKING([whether $CC accepts $broom_flag])
    broom_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $broom_flag"
    AC_COMPILE_IFELSE([AC_LANG_SOURCE([[int main(void) { return 0; }]])],
      [$1="${$1:+$$1 }$broom_flag"
       AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])])
    CFLAGS=$broom_save_CFLAGS
  done
  AC_SUBST([$1])
])

# BROOM_REQUIRE_FLAG(VARIABLE, FLAG)
# As BROOM_TRY_FLAGS, for a flag that the code is wrong without.
AC_DEFUN([BROOM_REQUIRE_FLAG], [
  BROOM_TRY_FLAGS([$1], [$2])
  AS_CASE([" $$1 "], [*" $2 "*], [], [AC_MSG_ERROR([$CC does not accept $2; Broom needs gcc 12, clang 14 or later])])
])

# BROOM_PROG_GNU_MAKE
# Ends configure when `make` is another make.
AC_DEFUN([BROOM_PROG_GNU_MAKE], [
  AC_MSG_CHECKING([whether ${MAKE-make} is GNU make])
  AS_IF([${MAKE-make} --version 2>/dev/null | grep GNU >/dev/null],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([the Makefile has pattern rules: set MAKE to GNU make])])
])
