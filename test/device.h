/* device.h - words that are written by something else than the program: io_uring, into a
 * buffer that was registered, and so pinned, before. The system does not tell of it. */
#ifndef TEST_DEVICE_H
#define TEST_DEVICE_H

#include <criterion/criterion.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    struct io_uring_params parameters;
    struct io_uring_sqe *entries;
    char *submitted, *completed;
    int ring, file;
} device;

static inline char *device_map(size_t bytes, off_t what)
{
    char *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, device.ring, what);

    cr_assert(mapped != MAP_FAILED);
    return mapped;
}

/* False: the system has none for us. */
static inline bool device_open(void *buffer, size_t bytes)
{
    struct io_uring_params *parameters = &device.parameters;
    struct iovec range = {buffer, bytes};

    device.ring = (int)syscall(SYS_io_uring_setup, 1, parameters);
    if (device.ring < 0)
        return false;
    device.submitted = device_map(parameters->sq_off.array + sizeof(uint32_t), IORING_OFF_SQ_RING);
    device.completed =
        device_map(parameters->cq_off.cqes + parameters->cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
    device.entries = (struct io_uring_sqe *)(void *)device_map(sizeof *device.entries, IORING_OFF_SQES);
    device.file = memfd_create("words", MFD_CLOEXEC);
    return device.file >= 0 && syscall(SYS_io_uring_register, device.ring, IORING_REGISTER_BUFFERS, &range, 1) == 0;
}

static inline uint32_t *device_word(char *ring, uint32_t offset)
{
    return (uint32_t *)(void *)(ring + offset);
}

/* *word = value, by the device. */
static inline void device_store(void *word, const void *value)
{
    uint32_t *tail = device_word(device.submitted, device.parameters.sq_off.tail);
    uint32_t *head = device_word(device.completed, device.parameters.cq_off.head);
    const struct io_uring_cqe *results = (void *)(device.completed + device.parameters.cq_off.cqes);

    cr_assert_eq(pwrite(device.file, &value, sizeof value, 0), sizeof value);
    *device.entries = (struct io_uring_sqe){
        .opcode = IORING_OP_READ_FIXED, .fd = device.file, .addr = (uintptr_t)word, .len = sizeof value};
    *device_word(device.submitted, device.parameters.sq_off.array) = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    cr_assert_eq(syscall(SYS_io_uring_enter, device.ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
    cr_assert_eq(results[*head % device.parameters.cq_entries].res, sizeof value);
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

#endif
