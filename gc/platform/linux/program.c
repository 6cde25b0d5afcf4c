#define _GNU_SOURCE
#include "gc/platform/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined __x86_64__
#define OWN_MACHINE EM_X86_64
#else
#define OWN_MACHINE EM_AARCH64
#endif

/* ---- Finding it -------------------------------------------------------------------- */

static bool is_executable(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool is_there(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0;
}

static bool is_file(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* The first of this kind. An empty folder in PATH is the current one. */
static bool find_in_path(const char *name, bool (*is_wanted)(const char *path), char *path, size_t capacity)
{
    const char *folder = getenv("PATH");
    size_t length;

    for (folder = folder != NULL ? folder : "/bin:/usr/bin";; folder += length + 1) {
        length = strcspn(folder, ":");
        snprintf(path, capacity, "%.*s/%s", length > 0 ? (int)length : 1, length > 0 ? folder : ".", name);
        if (is_wanted(path))
            return true;
        if (folder[length] == '\0')
            break;
    }
    snprintf(path, capacity, "%s", name);
    return false;
}

static enum gc__obstacle look_for(const char *path)
{
    if (is_executable(path))
        return OBSTACLE_NONE;
    return is_there(path) ? OBSTACLE_NOT_EXECUTABLE : OBSTACLE_NOT_FOUND;
}

/* A folder in one of PATH's is no program that anyone meant. */
static enum gc__obstacle find(const char *name, char *path, size_t capacity)
{
    if (*name != '\0' && strchr(name, '/') == NULL) {
        if (find_in_path(name, is_executable, path, capacity))
            return OBSTACLE_NONE;
        return find_in_path(name, is_file, path, capacity) ? OBSTACLE_NOT_EXECUTABLE : OBSTACLE_NOT_FOUND;
    }
    snprintf(path, capacity, "%s", name);
    return look_for(path);
}

/* ---- Its contents -------------------------------------------------------------------- */

struct image {
    const char *bytes;
    size_t count;
};

static struct image map_file(const char *path)
{
    struct image image = {NULL, 0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    void *bytes;

    if (file < 0)
        return image;
    if (fstat(file, &status) == 0 && status.st_size > 0) {
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes != MAP_FAILED)
            image = (struct image){bytes, (size_t)status.st_size};
    }
    close(file);
    return image;
}

/* `count` times `bytes` bytes from `offset`; NULL: the file is shorter. */
static const void *part(const struct image *image, uint64_t offset, uint64_t count, uint64_t bytes)
{
    uint64_t all;

    if (__builtin_mul_overflow(count, bytes, &all) || offset > image->count || all > image->count - offset)
        return NULL;
    return image->bytes + offset;
}

static const char *text_at(const struct image *image, uint64_t offset)
{
    if (offset >= image->count || memchr(image->bytes + offset, '\0', image->count - offset) == NULL)
        return "";
    return image->bytes + offset;
}

static const Elf64_Phdr *find_segment(const struct image *image, const Elf64_Ehdr *elf, uint32_t type)
{
    const Elf64_Phdr *segment = part(image, elf->e_phoff, elf->e_phnum, sizeof *segment);

    for (unsigned i = 0; segment != NULL && i < elf->e_phnum; i++)
        if (segment[i].p_type == type)
            return &segment[i];
    return NULL;
}

static const Elf64_Shdr *find_section(const struct image *image, const Elf64_Ehdr *elf, uint32_t type)
{
    const Elf64_Shdr *section = part(image, elf->e_shoff, elf->e_shnum, sizeof *section);

    for (unsigned i = 0; section != NULL && i < elf->e_shnum; i++)
        if (section[i].sh_type == type)
            return &section[i];
    return NULL;
}

/* The section of names that goes with another. */
static uint64_t names_of(const struct image *image, const Elf64_Ehdr *elf, const Elf64_Shdr *of)
{
    const Elf64_Shdr *section = part(image, elf->e_shoff, elf->e_shnum, sizeof *section);

    return of->sh_link < elf->e_shnum ? section[of->sh_link].sh_offset : image->count;
}

static const char *own_allocator(const struct image *image, const Elf64_Ehdr *elf)
{
    static const char *const family[] = {"malloc", "free", "calloc", "realloc"};
    const Elf64_Shdr *section = find_section(image, elf, SHT_DYNSYM);
    const Elf64_Sym *symbol = section != NULL ? part(image, section->sh_offset, 1, section->sh_size) : NULL;

    for (size_t i = 0; symbol != NULL && i < section->sh_size / sizeof *symbol; i++) {
        const char *name = text_at(image, names_of(image, elf, section) + symbol[i].st_name);

        for (size_t j = 0; symbol[i].st_shndx != SHN_UNDEF && j < sizeof family / sizeof family[0]; j++)
            if (strcmp(name, family[j]) == 0)
                return family[j];
    }
    return NULL;
}

static bool begins_with_any(const char *name, const char *const *beginnings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

/* The first name with this tag, of a library that it is linked with (DT_NEEDED) or its own
 * (DT_SONAME), that begins so. NULL: none. */
static const char *find_name(const struct image *image, const Elf64_Ehdr *elf, int64_t tag, const char *const *names,
                             size_t count)
{
    const Elf64_Shdr *section = find_section(image, elf, SHT_DYNAMIC);
    const Elf64_Dyn *entry = section != NULL ? part(image, section->sh_offset, 1, section->sh_size) : NULL;

    for (size_t i = 0; entry != NULL && i < section->sh_size / sizeof *entry; i++) {
        const char *name = text_at(image, names_of(image, elf, section) + entry[i].d_un.d_val);

        if (entry[i].d_tag == tag && begins_with_any(name, names, count))
            return name;
    }
    return NULL;
}

/* What gives or takes memory of an allocator's beside malloc and its like: these libraries
 * define C++'s operators, too. */
static const char *call_of_allocator(const struct image *image, const Elf64_Ehdr *elf)
{
    static const char *const calls[] = {"_Znw",    "_Zna",     "_Zdl", "_Zda", "mallocx", "rallocx",
                                        "dallocx", "sdallocx", "je_",  "tc_",  "mi_"};
    const Elf64_Shdr *section = find_section(image, elf, SHT_DYNSYM);
    const Elf64_Sym *symbol = section != NULL ? part(image, section->sh_offset, 1, section->sh_size) : NULL;

    for (size_t i = 0; symbol != NULL && i < section->sh_size / sizeof *symbol; i++) {
        const char *name = text_at(image, names_of(image, elf, section) + symbol[i].st_name);

        if (symbol[i].st_shndx == SHN_UNDEF && begins_with_any(name, calls, sizeof calls / sizeof calls[0]))
            return name;
    }
    return NULL;
}

/* ---- Judging it ------------------------------------------------------------------------- */

/* Of who owns it, or with capabilities: unless that is nothing new. */
static bool is_privileged(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return false;
    return ((status.st_mode & S_ISUID) != 0 && status.st_uid != geteuid()) ||
           ((status.st_mode & S_ISGID) != 0 && status.st_gid != getegid()) ||
           (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

static enum gc__obstacle obstacle(struct gc__program *program, enum gc__obstacle what, const char *detail)
{
    snprintf(program->detail, sizeof program->detail, "%s", detail);
    return what;
}

/* Malloc and its like are ours before they are those of a library that it is linked with.
 * All else would stay, and the two know nothing of each other's memory. */
static enum gc__obstacle judge_allocator(const struct image *image, const Elf64_Ehdr *elf, struct gc__program *program)
{
    static const char *const allocators[] = {"libjemalloc", "libtcmalloc", "libmimalloc", "libtbbmalloc",
                                             "libhoard",    "libsnmalloc", "librpmalloc"};
    const char *library = find_name(image, elf, DT_NEEDED, allocators, sizeof allocators / sizeof allocators[0]);
    const char *call = library != NULL ? call_of_allocator(image, elf) : NULL;

    if (call == NULL)
        return OBSTACLE_NONE;
    snprintf(program->detail, sizeof program->detail, "%s of %s", call, library);
    return OBSTACLE_ITS_ALLOCATOR;
}

static enum gc__obstacle judge_elf(const struct image *image, struct gc__program *program)
{
    static const char *const ours[] = {"libbroom"}, *const loader[] = {"ld-linux-"};
    const Elf64_Ehdr *elf = part(image, 0, 1, sizeof *elf);
    const Elf64_Phdr *interpreter;
    const char *name;

    if (elf == NULL || elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != OWN_MACHINE)
        return OBSTACLE_OTHER_CPU;
    interpreter = find_segment(image, elf, PT_INTERP);
    if (interpreter == NULL) /* the loader does for the program it is given what it does otherwise */
        return find_name(image, elf, DT_SONAME, loader, 1) != NULL ? OBSTACLE_NONE : OBSTACLE_STATIC;
    name = text_at(image, interpreter->p_offset);
    if (strstr(name, "/ld-linux-") == NULL)
        return obstacle(program, OBSTACLE_OTHER_LOADER, name);
    if (find_name(image, elf, DT_NEEDED, ours, 1) != NULL)
        return OBSTACLE_IS_OURS_ALREADY;
    name = own_allocator(image, elf);
    return name != NULL ? obstacle(program, OBSTACLE_OWN_ALLOCATOR, name) : judge_allocator(image, elf, program);
}

/* The interpreter of a script, from "#! /path argument". False: it names none. */
static bool find_interpreter(const struct image *image, char *path, size_t capacity)
{
    size_t start = 2, length = 0;

    if (image->count <= start || memcmp(image->bytes, "#!", start) != 0)
        return false;
    while (start < image->count && (image->bytes[start] == ' ' || image->bytes[start] == '\t'))
        start++;
    while (start + length < image->count && strchr(" \t\n", image->bytes[start + length]) == NULL)
        length++;
    snprintf(path, capacity, "%.*s", (int)length, image->bytes + start);
    return length > 0;
}

/* So that it shows what a terminal would not: most often the carriage return that ends the lines
 * of other systems. */
static void copy_visibly(const char *text, char *to, size_t capacity)
{
    size_t used = 0;

    for (; *text != '\0' && used + sizeof "\\ooo" <= capacity; text++)
        if (*text == '\r')
            used += (size_t)snprintf(to + used, capacity - used, "\\r");
        else if ((unsigned char)*text < ' ')
            used += (size_t)snprintf(to + used, capacity - used, "\\%03o", (unsigned)*text);
        else
            to[used++] = *text;
    to[used] = '\0';
}

/* Which the kernel does not know, and execvp gives to the shell; that would not take what has
 * zeros in its first line. */
static bool is_script_of_shell(const struct image *image)
{
    const char *end = memchr(image->bytes, '\n', image->count);
    size_t line = end != NULL ? (size_t)(end - image->bytes) : image->count;

    return (line < 2 || memcmp(image->bytes, "#!", 2) != 0) && memchr(image->bytes, '\0', line) == NULL;
}

static enum gc__obstacle judge(struct gc__program *program, unsigned scripts);

/* It becomes the program that is looked at, unless nothing can be: then the script stays that. */
static enum gc__obstacle judge_interpreter(struct gc__program *program, const char *interpreter, unsigned scripts)
{
    if (scripts > 0 && is_executable(interpreter)) {
        snprintf(program->path, sizeof program->path, "%s", interpreter);
        return judge(program, scripts - 1);
    }
    copy_visibly(interpreter, program->detail, sizeof program->detail);
    return is_executable(interpreter) ? OBSTACLE_TOO_MANY_SCRIPTS : OBSTACLE_NO_INTERPRETER;
}

static enum gc__obstacle judge(struct gc__program *program, unsigned scripts)
{
    struct image image = map_file(program->path);
    enum gc__obstacle found = OBSTACLE_NO_PROGRAM;
    char interpreter[256]; /* Linux takes no longer one */

    if (image.bytes == NULL) /* it may be run, but not read */
        return is_privileged(program->path) ? OBSTACLE_PRIVILEGED : OBSTACLE_NONE;
    if (image.count > SELFMAG && memcmp(image.bytes, ELFMAG, SELFMAG) == 0)
        found = is_privileged(program->path) ? OBSTACLE_PRIVILEGED : judge_elf(&image, program);
    else if (find_interpreter(&image, interpreter, sizeof interpreter))
        found = judge_interpreter(program, interpreter, scripts);
    else if (scripts > 0 && is_script_of_shell(&image)) {
        snprintf(program->path, sizeof program->path, _PATH_BSHELL);
        found = judge(program, 0);
    }
    munmap((void *)(uintptr_t)image.bytes, image.count);
    return found;
}

#define SCRIPTS 5 /* as many as Linux follows */

struct gc__program gc__program_look(const char *name)
{
    struct gc__program program = {.obstacle = OBSTACLE_NONE};

    program.obstacle = find(name, program.path, sizeof program.path);
    if (program.obstacle == OBSTACLE_NONE)
        program.obstacle = judge(&program, SCRIPTS);
    return program;
}

struct gc__program gc__program_look_at(const char *path)
{
    struct gc__program program = {.obstacle = look_for(path)};

    snprintf(program.path, sizeof program.path, "%s", path);
    if (program.obstacle == OBSTACLE_NONE)
        program.obstacle = judge(&program, SCRIPTS);
    return program;
}

/* What stands before and behind the detail. */
static const struct {
    const char *before, *behind;
} reasons[] = {
    [OBSTACLE_NONE] = {"", ""},
    [OBSTACLE_NOT_FOUND] = {"no such program", ""},
    [OBSTACLE_NOT_EXECUTABLE] = {"it is there, but is no file that can be executed", ""},
    [OBSTACLE_NO_PROGRAM] = {"neither a program nor a script that can be run", ""},
    [OBSTACLE_NO_INTERPRETER] = {"its interpreter ", " cannot be executed"},
    [OBSTACLE_TOO_MANY_SCRIPTS] = {"its interpreter ", " is behind more scripts than the system follows"},
    [OBSTACLE_OTHER_CPU] = {"a program for another processor, or of 32 bits", ""},
    [OBSTACLE_STATIC] = {"statically linked, so nothing can take the place of its malloc; link it with -lbroom-malloc",
                         ""},
    [OBSTACLE_OTHER_LOADER] = {"made for another C library, of this loader: ", ""},
    [OBSTACLE_PRIVILEGED] = {"set-uid, set-gid or with capabilities: the loader puts nothing into it", ""},
    [OBSTACLE_OWN_ALLOCATOR] = {"it has an allocator of its own, which defines ", ""},
    [OBSTACLE_ITS_ALLOCATOR] = {"it calls ", ", more of that allocator than malloc and its like"},
    [OBSTACLE_IS_OURS_ALREADY] = {"linked with Broom already", ""},
};

void gc__program_explain(const struct gc__program *program, char *text, size_t capacity)
{
    snprintf(text, capacity, "%s%s%s", reasons[program->obstacle].before, program->detail,
             reasons[program->obstacle].behind);
}

/* ---- Running it ---------------------------------------------------------------------------- */

/* Without /proc it is known as what it was run, perhaps by a link, in the folder that is still the
 * current one. */
static bool find_own_path(char *path, size_t capacity)
{
    ssize_t length = readlink("/proc/self/exe", path, capacity - 1);
    const char *run_as = (const char *)getauxval(AT_EXECFN);
    char resolved[PATH_MAX];

    if (length > 0)
        path[length] = '\0';
    else if (run_as == NULL || realpath(run_as, resolved) == NULL || strlen(resolved) >= capacity)
        return false;
    else
        strcpy(path, resolved);
    return true;
}

bool gc__program_own_folder(char *path, size_t capacity)
{
    char *slash = find_own_path(path, capacity) ? strrchr(path, '/') : NULL;

    if (slash != NULL)
        *slash = '\0';
    return slash != NULL;
}

bool gc__program_is_readable(const char *path)
{
    return access(path, R_OK) == 0;
}

int gc__program_execute(const char *name, char **arguments)
{
    char path[4096];

    if (find(name, path, sizeof path) == OBSTACLE_NONE) /* execvp tries each folder, which takes longer than to look */
        execv(path, arguments);
    execvp(name, arguments);
    return errno;
}
