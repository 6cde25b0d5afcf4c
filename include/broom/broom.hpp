// broom/broom.hpp - Broom in C++17: an allocator for containers, objects by
// broom::gc_new, and base classes.
//
// Exhaustion is std::bad_alloc here. Exceptions may pass through Broom's functions
// where broom.h says so: an out-of-memory handler and a finalizer may throw.
// Destructors of objects that the collector reclaims are not run, unless their class
// is derived from broom::cleanup.
#ifndef BROOM_HPP
#define BROOM_HPP

#include <broom.h>
#include <broom/finalizer.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

namespace broom {

// Whether objects of a type hold no pointers, so that they need not be scanned. To be
// specialised for types of one's own.
template <class T> struct is_atomic : std::bool_constant<std::is_arithmetic_v<T> || std::is_enum_v<T>> {};

namespace detail {

template <class T> [[nodiscard]] T *allocate(std::size_t count)
{
    constexpr bool aligned = alignof(T) > 16;
    void *memory;

    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
        throw std::bad_array_new_length();
    if constexpr (aligned)
        memory = gc_aligned_alloc(alignof(T), count * sizeof(T));
    else if constexpr (is_atomic<T>::value)
        memory = gc_malloc_atomic(count * sizeof(T));
    else
        memory = gc_malloc(count * sizeof(T));
    if (memory == nullptr)
        throw std::bad_alloc();
    return static_cast<T *>(memory);
}

} // namespace detail

// For containers: what they hold is scanned, and what it points at lives as long as
// the container is reachable, or lies on a stack. A container that is dropped without
// being destroyed is reclaimed with all that it holds.
template <class T> class allocator {
  public:
    using value_type = T;
    using is_always_equal = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;

    allocator() noexcept = default;
    template <class U> allocator(const allocator<U> &) noexcept {}

    [[nodiscard]] T *allocate(std::size_t count) { return detail::allocate<T>(count); }
    void deallocate(T *memory, std::size_t) noexcept { gc_free(memory); }
};

template <class T, class U> bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
    return true;
}

template <class T, class U> bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
    return false;
}

// A new object in the heap. Its destructor is run by nobody, but for a class that is
// derived from broom::cleanup.
template <class T, class... Arguments> [[nodiscard]] T *gc_new(Arguments &&...arguments)
{
    T *memory = detail::allocate<T>(1);

    try {
        return ::new (static_cast<void *>(memory)) T(std::forward<Arguments>(arguments)...);
    } catch (...) {
        gc_free(memory);
        throw;
    }
}

// Base of classes whose objects `new` makes in the heap; `delete` is optional.
class object {
  public:
    static void *operator new(std::size_t bytes) { return check(gc_malloc(bytes)); }
    static void *operator new[](std::size_t bytes) { return check(gc_malloc(bytes)); }
    static void *operator new(std::size_t bytes, std::align_val_t alignment)
    {
        return check(gc_aligned_alloc(static_cast<std::size_t>(alignment), bytes));
    }
    static void *operator new(std::size_t, void *place) noexcept { return place; }
    static void operator delete(void *memory) noexcept { gc_free(memory); }
    static void operator delete[](void *memory) noexcept { gc_free(memory); }
    static void operator delete(void *memory, std::align_val_t) noexcept { gc_free(memory); }
    static void operator delete(void *, void *) noexcept {}

  private:
    static void *check(void *memory)
    {
        if (memory == nullptr)
            throw std::bad_alloc();
        return memory;
    }
};

// Base of classes whose destructor the collector is to run, as an ordered finalizer in
// the queue of the program (see broom/finalizer.h): once the object is not reachable,
// and before those of the objects that it leads to. Objects elsewhere, on a stack say,
// are destroyed as ever. No arrays of such objects.
class cleanup : public object {
  public:
    static void *operator new[](std::size_t) = delete;

    virtual ~cleanup() { forget(); }

  protected:
    cleanup() { remember(); }
    cleanup(const cleanup &) { remember(); }
    cleanup &operator=(const cleanup &) { return *this; }

  private:
    // Data of a finalizer are roots: so an offset, no pointer.
    void remember()
    {
        char *start = static_cast<char *>(gc_base(this));

        if (start == nullptr)
            return;
        auto offset = reinterpret_cast<char *>(this) - start;
        if (gc_set_finalizer(start, destroy, reinterpret_cast<void *>(offset)) != 0)
            throw std::bad_alloc();
    }

    void forget() noexcept
    {
        if (void *start = gc_base(this))
            (void)gc_set_finalizer(start, nullptr, nullptr);
    }

    static void destroy(void *start, void *offset)
    {
        reinterpret_cast<cleanup *>(static_cast<char *>(start) + reinterpret_cast<std::intptr_t>(offset))->~cleanup();
    }
};

} // namespace broom

#endif
