/* Linked into the unit tests of the thread sanitizer, and so known to the programs that they start
 * from themselves: libraries that were not built for it, whose locks it does not see. */

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\n"
           "race:libzmq.so\n";
}
